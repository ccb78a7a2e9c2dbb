"""A call that runs eagerly in the middle of a graph, and can be trained."""

import contextlib
import threading
import weakref
from typing import Any

import tensorflow as tf
from tensorflow import keras

from tfk_patterns import _keras
from tfk_patterns.layers._added_losses import may_add_losses
from tfk_patterns.layers._once_differentiable import once_differentiable
from tfk_patterns.layers._promised_outputs import as_promised
from tfk_patterns.layers._tapes import MOST, Recorded, Tapes

_ONCE = (
    "The layer {!r} runs eagerly in the graph, where its gradient cannot be differentiated again: "
    "take gradients of gradients in eager mode."
)
_locks: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_thread = threading.local()


@tf.autograph.experimental.do_not_convert
def eagerly(layer, args: tuple, kwargs: dict[str, Any]):
    """Calls a layer eagerly wherever the graph that is being traced will run.

    Args:
        layer: The layer, built, whose `call` is traced.
        args: The positional arguments of `call`.
        kwargs: Its keyword arguments.

    Returns:
        The outputs, as tensors of the graph.

    Raises:
        NotImplementedError: The graph is one that Python cannot run in.
    """
    specs = _keras.output_specs(layer, args, kwargs)
    if _keras.infers_shapes():  # also where Keras builds a model that it loads
        return tf.nest.map_structure(
            lambda spec: tf.compat.v1.placeholder(spec.dtype, spec.shape), specs
        )
    _refuse_graphs_without_python(layer)
    if _keras.is_stateless():
        raise NotImplementedError(
            f"`stateless_call` in a graph cannot reach the layer {layer.name!r}, whose `call` runs "
            "eagerly on its variables: use it in eager mode."
        )
    island = _Island(layer, args, kwargs, specs)
    outputs, loss = island.run()
    if island.may_add_losses:
        layer.add_loss(loss)
    return outputs


def note_added_losses(layer) -> None:
    """Keeps, for the island that runs in this thread, what `call` has given to `add_loss`.

    Right after `call`, and before Keras adds the layer's activity regulariser, which it does on the
    outputs of the island too.
    """
    island = getattr(_thread, "island", None)
    if island is not None and island.layer is layer:
        island.losses = _keras.added_losses(layer)


def _refuse_graphs_without_python(layer) -> None:
    if _keras.compiles_with_xla():
        raise NotImplementedError(
            f"XLA cannot compile the layer {layer.name!r}, whose `call` is Python that runs "
            "eagerly: leave `jit_compile=True` out, or make the layer with `dynamic=False` if its "
            "`call` can be traced."
        )
    if _keras.exports():
        raise NotImplementedError(
            f"A SavedModel cannot hold the layer {layer.name!r}, whose `call` is Python that runs "
            "eagerly: save the model as a `.keras` file, or make the layer with `dynamic=False` if "
            "its `call` can be traced."
        )


class _Island:
    """One call in a traced graph: runs the layer in each step, and keeps the tape for the gradient.

    The gradient of `tf.py_function` itself knows no variables, and in a loop no iteration but the
    last one.
    """

    def __init__(self, layer, args, kwargs, specs):
        self.layer = layer
        self.losses: list = []
        self._structure = (args, kwargs)
        self._flat = [
            tf.convert_to_tensor(one) if hasattr(one, "assign") else one  # a variable
            for one in tf.nest.flatten(self._structure, expand_composites=True)
        ]
        self._specs = specs
        # Keras 3 adds up only losses of one dtype, which is that of a model's own.
        self._loss_dtype = tf.float64 if keras.backend.floatx() == "float64" else tf.float32
        self.may_add_losses = may_add_losses(layer)
        self._weights, others = _keras.split_variables(layer)
        self._variables = [*self._weights, *others]
        self._passes = 0  # how often the gradient of the call is in the graph
        self._tapes = Tapes()
        self._policy = keras.mixed_precision.global_policy()
        self._in_step = _keras.in_step()
        self._replica = _replica()

    def run(self):
        """The outputs and the sum of the losses, as tensors of the graph."""
        tensors = [one for one in self._flat if tf.is_tensor(one)]
        masks = [_keras.attached_mask(tensor) for tensor in tensors]
        self._count = len(tensors)
        self._masked = [place for place, mask in enumerate(masks) if mask is not None]
        masks = [masks[place] for place in self._masked]
        # Read for the gradient to have a way to them; the island reads the variables themselves.
        with _keras.without_autocast():
            values = [tf.convert_to_tensor(weight) for weight in self._weights]
        # With the handles, TensorFlow keeps the order of what reads and writes the variables.
        handles = [variable.handle for variable in self._variables]
        specs = tf.nest.flatten(self._specs)
        self._places = [i for i, tensor in enumerate(tensors) if _is_differentiable(tensor)]
        dtypes = [spec.dtype for spec in specs]

        @tf.custom_gradient
        def call(*inputs):
            outputs = tf.py_function(
                self._forward,
                [*inputs[: self._count], *masks, *handles],
                [*dtypes, self._loss_dtype, tf.int64],
            )
            *outputs, loss, key = outputs
            for output, spec in zip(outputs, specs, strict=True):
                output.set_shape(spec.shape)
            loss.set_shape(())

            def gradient(*upstream):
                self._passes += 1
                return self._gradient(key, inputs, [*outputs, loss], upstream)

            return (*outputs, loss, key), gradient

        # Tensors of an outer graph become those of this one: `tf.cond` asks that of a gradient.
        *outputs, loss, _ = call(*map(tf.identity, tensors), *values)
        return tf.nest.pack_sequence_as(self._specs, outputs), loss

    def _gradient(self, key, inputs, outputs, upstream):
        upstream = [
            tf.zeros_like(output) if one is None else one
            for output, one in zip(outputs, upstream, strict=False)  # the key has none
            if _is_differentiable(output)
        ]
        places = [*self._places, *range(self._count, len(inputs))]
        sources = [inputs[place] for place in places]

        def gradient(*upstream):
            dtypes = [source.dtype for source in sources]
            found = tf.py_function(self._backward, [key, *upstream], dtypes)
            for one, source in zip(found, sources, strict=True):
                one.set_shape(source.shape)
            return found

        once = once_differentiable(gradient, sources, _ONCE.format(self.layer.name))
        found = dict(zip(places, once(*upstream), strict=True)) if places else {}
        return [found.get(place) for place in range(len(inputs))]

    def _forward(self, *values):
        tensors, masks = values[: self._count], values[self._count :]
        for place, mask in zip(self._masked, masks, strict=False):
            _keras.attach_mask(tensors[place], mask)
        found = iter(tensors)
        flat = [next(found) if tf.is_tensor(one) else one for one in self._flat]
        args, kwargs = tf.nest.pack_sequence_as(self._structure, flat, expand_composites=True)
        with self._circumstances():
            passes = self._passes
            if not passes:
                return [*self._call(args, kwargs), self._loss(), 0]
            with tf.GradientTape(persistent=passes > 1) as tape:
                inputs = [tensors[place] for place in self._places]
                tape.watch(inputs)
                targets = [*self._call(args, kwargs), self._loss()]
            self._require_known(tape)
            return [*targets, self._tapes.keep(Recorded(tape, targets, inputs, passes > 1))]

    def _backward(self, key, *upstream):
        with self._circumstances():
            recorded = self._tapes.take(int(key))
            if recorded is None:
                raise RuntimeError(
                    f"The gradient of a call of the layer {self.layer.name!r} is gone: the graph "
                    "has run it before, as for `tape.jacobian` and for a loop with tapes inside "
                    f"and outside (take these in eager mode), or more than {MOST} calls came after."
                )
            targets = [one for one in recorded.targets if _is_differentiable(one)]
            gradients = recorded.tape.gradient(
                targets, [*recorded.inputs, *self._weights], upstream, unconnected_gradients="zero"
            )
            return [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _call(self, args, kwargs) -> list[tf.Tensor]:
        outer = getattr(_thread, "island", None)
        _thread.island = self
        try:
            # Keras' own: that of a subclass runs round the island.
            outputs = _keras.BaseDynamicLayer.__call__(self.layer, *args, **kwargs)
        finally:
            _thread.island = outer
        return tf.nest.flatten(as_promised(self.layer, outputs, self._specs))

    def _loss(self) -> tf.Tensor:
        if self.losses and not self.may_add_losses:
            raise ValueError(
                f"`add_loss` must be called in a method of the layer {self.layer.name!r} or of one "
                "in it, so that a graph knows of losses before it runs. Received: losses "
                f"{[float(tf.reduce_sum(loss)) for loss in self.losses]}"
            )
        losses = [tf.cast(tf.reduce_sum(loss), self._loss_dtype) for loss in self.losses]
        return tf.add_n([tf.zeros((), self._loss_dtype), *losses])

    def _require_known(self, tape) -> None:
        known = {variable.ref() for variable in self._variables}
        for variable in tape.watched_variables():
            if variable.ref() not in known:
                raise ValueError(
                    f"`call` of the layer {self.layer.name!r} uses the variable {variable.name!r}, "
                    "which was no weight of the layer when the graph was traced and would get no "
                    "gradient: make weights, and build sublayers, in `build`."
                )

    @contextlib.contextmanager
    def _circumstances(self):
        """What TensorFlow and Keras keep for each thread, as it was when the graph was traced."""
        with contextlib.ExitStack() as stack:
            for context in self._replica:
                stack.enter_context(context())
            # Keras keeps a layer's losses in one list for all threads.
            stack.enter_context(_locks.setdefault(self.layer, threading.RLock()))
            stack.enter_context(_keras.outermost_call())
            stack.enter_context(_keras.as_in_step(self._in_step))
            if keras.mixed_precision.global_policy().name != self._policy.name:
                stack.enter_context(_keras.global_policy(self._policy))
            yield


def _is_differentiable(tensor) -> bool:
    return tensor.dtype.is_floating or tensor.dtype.is_complex


def _replica() -> list:
    """The contexts of the replica that is traced, to be entered where it runs."""
    context = tf.distribute.get_replica_context()
    if not tf.distribute.has_strategy() or context is None:
        return []
    strategy, number = context.strategy, context.replica_id_in_sync_group
    if tf.is_tensor(number):
        number = int(tf.get_static_value(number))
    return [strategy.scope, lambda: tf.distribute.ReplicaContext(strategy, number)]
