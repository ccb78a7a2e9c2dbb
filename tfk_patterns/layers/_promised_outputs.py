"""Outputs of a layer beside what its `compute_output_shape` has promised."""

import tensorflow as tf


def as_promised(layer, outputs, specs):
    """The outputs as tensors, those that are none in the promised dtype, in promised containers.

    Args:
        layer: The layer that made them.
        outputs: A structure of tensors, arrays and numbers.
        specs: A structure of `tf.TensorSpec`.

    Raises:
        ValueError: They are not of the promised structure, shapes and dtypes.
    """
    try:
        tf.nest.assert_same_structure(outputs, specs, check_types=False)
        flat = list(map(_as_tensor, tf.nest.flatten(outputs), tf.nest.flatten(specs)))
    except (ValueError, TypeError) as error:
        raise _error(layer, outputs, specs) from error
    if not _have_equal_keys(outputs, specs) or not all(
        spec.is_compatible_with(o) for o, spec in zip(flat, tf.nest.flatten(specs), strict=True)
    ):
        raise _error(layer, outputs, specs)
    return tf.nest.pack_sequence_as(specs, flat)


def _have_equal_keys(outputs, specs) -> bool:
    """Whether dicts have the promised keys, in structures that are else the same."""
    if isinstance(specs, dict):
        return outputs.keys() == specs.keys() and all(
            _have_equal_keys(outputs[key], spec) for key, spec in specs.items()
        )
    return not isinstance(specs, list | tuple) or all(map(_have_equal_keys, outputs, specs))


def _as_tensor(output, spec):
    is_tensor = tf.is_tensor(output) and not hasattr(output, "assign")  # which variables have
    return output if is_tensor else tf.convert_to_tensor(output, spec.dtype)


def _error(layer, outputs, specs) -> ValueError:
    return ValueError(
        f"`call` of the layer {layer.name!r} must return what `compute_output_shape` (and "
        f"`output_dtypes`) says, {_described(specs)}. Received: {_described(outputs)}"
    )


def _described(structure):
    return tf.nest.map_structure(
        lambda one: (
            f"{tf.as_dtype(one.dtype).name}{tuple(one.shape)}"
            if hasattr(one, "dtype")
            else type(one).__name__
        ),
        structure,
    )
