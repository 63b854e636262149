"""A network that answers as ever, and sends a signal back by the rules of a deconvnet.

Whatever is linear sends it back through its transpose, which is what a derivative does: a
convolution through its filters, a batch normalization through its scales, a mean or a sum to all it
was made of, a sum of branches to each, branches side by side each its part, dropout as it is.
Pooling by the maximum, and maxout, send it to where the maximum was (the switches), pooling by the
root of squares to each pixel by its share.  Three kinds of layers have rules of their own:

- An activation that is nowhere much below zero (ReLU and its relatives) lets pass what is positive
  of the signal, whatever its own input was.
- Layer, group and instance normalization are taken as the linear maps they are once mean and
  variance of the image are given; else a signal would end on the whole image.
- Any other activation (tanh, sigmoid, softmax) keeps its derivative, since the maps it makes are
  not rectified, or saturate.

References
----------
Zeiler & Fergus 2014, ECCV (arXiv:1311.2901), section 2.1.
Springenberg et al. 2015, ICLR workshop (arXiv:1412.6806), figure 1 (guided backpropagation).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from astrocnn.backend import keras, layers, ops
from astrocnn.errors import ModelError
from astrocnn.explain._gradients import with_backward

__all__ = ["RULES", "graph_of", "with_rule"]

RULES = ("deconvnet", "guided")

# Names of functions and classes, in small letters and without underscores.
_RECTIFIERS = (
    "relu", "relu6", "leakyrelu", "prelu", "elu", "celu", "selu", "gelu", "silu", "swish",
    "hardsilu", "hardswish", "softplus", "mish", "squareplus", "thresholdedrelu",
)  # fmt: skip
_NORMS = (layers.LayerNormalization, layers.GroupNormalization)


def with_rule(model: keras.Model, rule: str) -> Callable[[dict[str, Any]], Any]:
    """The function a network is, with another way back.

    Parameters
    ----------
    model : keras.Model
        A graph of layers; networks inside it are walked through too.
    rule : str
        ``"deconvnet"``, or ``"guided"``, where activations also stop what their own input stopped.

    Returns
    -------
    callable
        From inputs by name to what the network makes of them.

    Raises
    ------
    ModelError
        If there is no such rule, or the model is not a graph of layers.
    """
    if rule not in RULES:
        raise ModelError("There is no such rule.", received=repr(rule), allowed=RULES)
    graph = graph_of(model)

    def rectified(activation: Callable[..., Any], x: Any, **kwargs: Any) -> Any:
        value = activation(x, **kwargs)
        if _name(activation) not in _RECTIFIERS:
            return value
        return with_backward(value, x if rule == "deconvnet" else value, ops.relu)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if "training" in kwargs:
            kwargs["training"] = False
        if isinstance(operation, keras.Model):
            return walk(graph_of(operation), args[0])
        if isinstance(operation, _NORMS):
            slope = _slope(operation, args[0])
            return with_backward(operation(*args, **kwargs), args[0], lambda signal: signal * slope)
        own = getattr(operation, "activation", None)
        if own is None:
            return rectified(operation, *args, **kwargs)
        # The layer computes the same with it, and gets its own back before anyone can ask.
        vars(operation)["activation"] = lambda x: rectified(own, x)
        try:
            return operation(*args, **kwargs)
        finally:
            vars(operation)["activation"] = own

    def walk(graph: Any, inputs: Any) -> Any:
        return graph._run_through_graph(keras.tree.flatten(inputs), call_fn=call)

    return lambda x: walk(graph, {name: x[name] for name in model.input})


def graph_of(model: Any) -> Any:
    """The graph of layers of a Functional or Sequential model.

    Raises
    ------
    ModelError
        If it is none.
    """
    graph = getattr(model, "_functional", model) if isinstance(model, keras.Sequential) else model
    if not hasattr(graph, "_run_through_graph"):
        raise ModelError(
            "Only networks that are a graph of layers can be walked back.",
            received=f"{type(model).__name__} '{model.name}'",
            allowed="Functional and built Sequential models",
        )
    return graph


def _name(activation: Any) -> str:
    name = getattr(activation, "__name__", type(activation).__name__)
    return str(name).replace("_", "").lower()


def _slope(norm: Any, x: Any) -> Any:
    """By what a normalization multiplies each number, for the mean and variance it finds."""
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
