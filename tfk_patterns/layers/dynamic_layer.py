"""Base of layers whose `call` is any Python."""

import functools
import inspect
from typing import Any, Literal

import tensorflow as tf

from tfk_patterns import _keras, _validate
from tfk_patterns.layers._eager_island import eagerly, note_added_losses
from tfk_patterns.layers._promised_outputs import as_promised


@_keras.register
class DynamicLayer(_keras.BaseDynamicLayer):
    """Base of layers whose `call` is any Python: recursion, loops over values, NumPy, a library.

    What `dynamic=True` was before Keras 3 took it away: write `call` on eager tensors, and
    `compute_output_shape`. Make weights, and build sublayers, in `build`. Where `call` meets a
    graph (`fit`, `predict`, `tf.function`), it runs eagerly in each step, as an island in the
    graph; the rest of the model stays compiled. The island trains: gradients reach its inputs and
    weights, and state, losses, metrics, random state, `training`, masks, nested layers and mixed
    precision are those of eager mode. An error in it has the line of `call` in its text. A
    functional model takes the outputs' shapes from `compute_output_shape`, and does not run `call`.

    On Keras 2, `dynamic=True` is Keras' own: `fit` runs the whole model eagerly, and only in
    `tf.function` is there an island. `dynamic="island"` trains in the graph there too.

    What a graph does not do: gradients of gradients and `tape.jacobian` (an error says so; eager
    mode has them), XLA (`supports_jit` is False, so that Keras does not try), and SavedModels
    (`.keras` files hold the layer). A weight that a call does not use gets a gradient of zeros
    there, an embedding a dense one, which Keras 3's Adam takes otherwise than a sparse one, and all
    that was given to `add_loss` is one loss. Under a strategy each replica runs an island of its
    own, in which replicas cannot reduce anything over one another. A `tf.function` that is called
    with a tape around it, and without, keeps what the last 1,024 calls left for gradients; `call`
    must call none that calls the layer again, nor any where TensorFlow has a single inter-op
    thread. An island costs about a millisecond more than the eager call, a little more with many
    weights; its operations, and their gradients, run one by one.

    Masks: `call` gets them if it takes `mask`, and so do sublayers. They are passed on by
    `compute_mask` or `supports_masking` alone, not by what `call` returns.

    Args:
        dynamic: `True`; `"island"` for an island on Keras 2 too, where `True` runs all of a model
            eagerly; `False` for a `call` that can be traced, as that of any layer.
        **kwargs: Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Attributes:
        output_dtypes: Dtype of all outputs, or a structure of dtypes, where it is not the compute
            dtype; to be set on the class.

    Call arguments:
        *args: As the subclass writes them; several inputs as one list, for Keras 2 gives
            `compute_output_shape` the shape of the first argument alone.
        training: Handed on where `call` takes it.
        mask: Handed on where `call` takes it.

    Input shape:
        Any.

    Output shape:
        As `compute_output_shape` says: a tuple of sizes, or lists, tuples and dicts of them. Arrays
        that `call` returns become tensors of the promised dtype, which tensors must have.

    Raises:
        NotImplementedError: There is no `compute_output_shape`, or the graph is compiled by XLA or
            exported. Where it is differentiated twice, the step raises
            `tf.errors.InvalidArgumentError`.
        ValueError: `dynamic` is none of the above, the outputs are not what was promised, or `call`
            uses variables that are no weights of the layer.

    Example:

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from tensorflow import keras
    >>> import tfk_patterns
    >>> class Sorted(tfk_patterns.layers.DynamicLayer):
    ...     def call(self, inputs):
    ...         rows = [sorted(row) for row in inputs.numpy().tolist()]
    ...         return np.array(rows)
    ...
    ...     def compute_output_shape(self, input_shape):
    ...         return tuple(input_shape)
    >>> inputs = keras.Input((3,))
    >>> model = keras.Model(inputs, Sorted()(inputs))
    >>> model.predict(np.array([[2.0, 3.0, 1.0]]), verbose=0).tolist()
    [[1.0, 2.0, 3.0]]

    Reference:
        Chollet, "Inside TensorFlow: tf.keras, part 1", 2019,
        https://www.youtube.com/watch?v=UYRBHFAvLSs
    """

    def __init__(self, dynamic: bool | Literal["island"] = True, **kwargs: Any):
        if not isinstance(dynamic, bool) and dynamic != "island":
            raise _validate.value_error("dynamic", "True, False or 'island'", dynamic)
        if type(self).compute_output_shape is DynamicLayer.compute_output_shape:
            raise NotImplementedError(
                f"`{type(self).__name__}` must define `compute_output_shape`, the one way to learn "
                "the shape of what `call` returns in a graph."
            )
        super().__init__(is_dynamic=dynamic is True, **kwargs)
        self._given_dynamic = dynamic
        self.supports_jit = dynamic is False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not (hasattr(cls.call, "runs_eagerly") or _keras.is_keras_own(cls.call)):
            cls.call = _eager_in_graphs(cls.call)  # its own, or that of a mixin

    @property
    def dynamic(self) -> bool | str:
        """What was given to the constructor."""
        return self._given_dynamic

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dynamic": self.dynamic}


def _eager_in_graphs(call):
    """A `call` that runs as it is in eager mode, and as an eager island in a graph."""
    signature = inspect.signature(call)
    takes_training = "training" in signature.parameters

    @functools.wraps(call)
    def wrapper(self, *args, **kwargs):
        given = kwargs if takes_training else {k: v for k, v in kwargs.items() if k != "training"}
        if self.dynamic is False:
            return call(self, *args, **given)
        is_outermost = type(self).call is wrapper  # and not called by `super().call(inputs)`
        if tf.executing_eagerly():
            return _run(self, call, args, given) if is_outermost else call(self, *args, **given)
        if not is_outermost:
            raise TypeError(
                f"`call` of the layer {self.name!r} was wrapped after its class was made, and runs "
                "in no graph: decorate it in the body of the class."
            )
        return eagerly(self, args, kwargs)

    wrapper.runs_eagerly = True
    wrapper.__signature__ = signature if takes_training else _with_training(signature)
    return wrapper


def _with_training(signature):
    """With an argument `training`, since Keras hands it on to no `call` that does not take it."""
    training = inspect.Parameter("training", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = list(signature.parameters.values())
    last = len(parameters) - sum(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    return signature.replace(parameters=[*parameters[:last], training, *parameters[last:]])


@tf.autograph.experimental.do_not_convert
def _run(layer, call, args, kwargs):
    try:
        outputs = call(layer, *args, **kwargs)
    except (StopIteration, tf.errors.OutOfRangeError) as error:  # for `fit`, the end of the data
        ended = RuntimeError(f"`call` of the layer {layer.name!r} raised {error!r}")
        raise ended.with_traceback(error.__traceback__) from error  # Keras drops the cause
    note_added_losses(layer)
    outputs = as_promised(layer, outputs, _keras.output_specs(layer, args, kwargs))
    # A mask that a sublayer has attached would be lost in a graph: `compute_mask` says what holds.
    return tf.nest.map_structure(
        lambda output: output if _keras.attached_mask(output) is None else tf.identity(output),
        outputs,
    )
