"""Gradients, and the modified backward passes of DeconvNet and guided backpropagation.

The only file of this folder that depends on TensorFlow.  A modified pass keeps the forward pass.
Whatever is linear sends a signal back through its transpose, as a derivative does: a
convolution through its filters, a batch normalization through its scales, a sum to each branch.
Pooling by the maximum, and maxout, send it to where the maximum was (the switches).  Three kinds
of layers have rules of their own:

- An activation that is nowhere much below zero (ReLU and its relatives) lets the positive part of
  the signal pass, independent of its own input.
- Layer, group and instance normalization count as the linear maps they are once mean and variance
  of the image are given; otherwise a signal would end on the whole image.
- Any other activation (tanh, sigmoid, softmax) keeps its derivative, since its maps are not
  rectified, or saturate.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 2.1.
Springenberg et al. 2015, ICLR workshop (arXiv:1412.6806), figure 1 (guided backpropagation).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from astrocnn.backend import keras, layers, ops, tf
from astrocnn.errors import ModelError

__all__ = ["RULES", "compiled", "get_graph", "gradient", "with_backward", "with_rule"]

RULES = ("deconvnet", "guided")
"""Backward rules of activations, by name."""

# Names of functions and classes, in lower case and without underscores.
_RECTIFIERS = (
    "relu", "relu6", "leakyrelu", "prelu", "elu", "celu", "selu", "gelu", "silu", "swish",
    "hardsilu", "hardswish", "softplus", "mish", "squareplus", "thresholdedrelu",
)  # fmt: skip


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a graph, traced again for arrays of new shapes."""
    # A partial object has no code, by which TensorFlow would warn of retracing for many networks.
    return tf.function(functools.partial(function), autograph=False)


def gradient(function: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[Any, Any, Any]:
    """Scores, a tensor, and the derivative of the sum of the scores with respect to it.

    The function computes scores, of shape (n,), and the tensor, which is `x` itself or computed
    from it.
    """
    x = tf.convert_to_tensor(x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        scores, tensor = function(x)
        total = tf.reduce_sum(scores)
    slope = tape.gradient(total, tensor, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return scores, tensor, slope


def with_backward(value: Any, x: Any, backward: Callable[[Any], Any]) -> Any:
    """A tensor equal to `value` whose gradient with respect to `x` is `backward` of its own."""
    value = tf.stop_gradient(value)

    @tf.custom_gradient
    def linked(_: Any) -> tuple[Any, Callable[[Any], Any]]:
        # A layer may compute in a lower precision than that of its input.
        return tf.identity(value), lambda signal: tf.cast(backward(signal), x.dtype)

    return linked(x)


def with_rule(model: keras.Model, rule: str) -> Callable[[dict[str, Any]], Any]:
    """The function that a network computes, with a modified backward pass.

    Parameters
    ----------
    model : keras.Model
        A graph of layers; nested networks are walked through as well.
    rule : {"deconvnet", "guided"}
        With ``"guided"`` activations also stop what their own input stopped.

    Raises
    ------
    ModelError
        If there is no such rule, or the model is not a graph of layers.
    """
    if rule not in RULES:
        raise ModelError("Unknown backward rule.", received=repr(rule), allowed=RULES)
    graph = get_graph(model)
    norms = (layers.LayerNormalization, layers.GroupNormalization)

    def rectified(activation: Callable[..., Any], x: Any, **kwargs: Any) -> Any:
        value = activation(x, **kwargs)
        name = getattr(activation, "__name__", type(activation).__name__)
        if str(name).replace("_", "").lower() not in _RECTIFIERS:
            return value
        return with_backward(value, x if rule == "deconvnet" else value, ops.relu)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if "training" in kwargs:
            kwargs["training"] = False
        if isinstance(operation, keras.Model):
            return walk(get_graph(operation), args[0])
        if isinstance(operation, norms):
            slope = _normalization_slope(operation, args[0])
            return with_backward(operation(*args, **kwargs), args[0], lambda signal: signal * slope)
        own = getattr(operation, "activation", None)
        if own is None:
            return rectified(operation, *args, **kwargs)
        # Same forward pass, other gradient; restored at once, since the layer is shared.
        vars(operation)["activation"] = lambda x: rectified(own, x)
        try:
            return operation(*args, **kwargs)
        finally:
            vars(operation)["activation"] = own

    def walk(graph: Any, inputs: Any) -> Any:
        return graph._run_through_graph(keras.tree.flatten(inputs), call_fn=call)

    return lambda x: walk(graph, {name: x[name] for name in model.input})


def get_graph(model: keras.Model) -> Any:
    """The graph of layers of a Functional or Sequential model; else raises ModelError."""
    graph = getattr(model, "_functional", model) if isinstance(model, keras.Sequential) else model
    if not hasattr(graph, "_run_through_graph"):
        raise ModelError(
            "The network must be a graph of layers.",
            received=f"{type(model).__name__} '{model.name}'",
            allowed="Functional and built Sequential models",
        )
    return graph


def _normalization_slope(norm: Any, x: Any) -> Any:
    """The factor of each number in a normalization, given the mean and variance of its input."""
    x = ops.cast(x, "float32")
    rank, channels = len(x.shape), x.shape[-1]
    if isinstance(norm, layers.LayerNormalization):
        axes = [axis % rank for axis in norm.axis]
        shape = [x.shape[axis] if axis in axes else 1 for axis in range(rank)]
        variance = ops.var(x, axis=axes, keepdims=True)
    else:
        shape = [1] * (rank - 1) + [channels]
        pixels, size = math.prod(x.shape[1:-1]), channels // norm.groups
        grouped = ops.reshape(x, (-1, pixels, norm.groups, size))
        variance = ops.repeat(ops.var(grouped, axis=(1, 3)), size, axis=-1)
        variance = ops.reshape(variance, (-1, *shape[1:]))
    slope = ops.rsqrt(variance + norm.epsilon)
    slope = slope if norm.gamma is None else slope * ops.reshape(norm.gamma, shape)
    return ops.cast(ops.stop_gradient(slope), norm.compute_dtype)
