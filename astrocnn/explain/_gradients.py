"""Where a gradient is taken: the only file of this folder that names a backend."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from astrocnn.backend import keras, tf
from astrocnn.errors import ModelError

__all__ = ["compiled", "gradient", "with_backward"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a graph, which arrays of new shapes trace again."""
    tf = _tensorflow()
    # A partial object has no code by which TensorFlow would count tracings of many networks.
    return tf.function(functools.partial(function), autograph=False)


def gradient(function: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[Any, Any, Any]:
    """Derivative of a sum of scores with respect to a tensor on the way to them.

    Parameters
    ----------
    function : callable
        From `x` to the scores, of shape (n,), and the tensor by which they are derived, which is
        `x` itself or made from it.
    x : tensor
        Where to begin.

    Returns
    -------
    scores, tensor, derivative : tensor
        Of shape (n,), and twice the shape of the tensor.
    """
    tf = _tensorflow()
    x = tf.convert_to_tensor(x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        scores, way = function(x)
        total = tf.reduce_sum(scores)
    slope = tape.gradient(total, way, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return scores, way, slope


def with_backward(value: Any, x: Any, backward: Callable[[Any], Any]) -> Any:
    """A tensor whose way back to `x` is of one's own making.

    Parameters
    ----------
    value : tensor
        What goes forward.
    x : tensor
        Where the way back ends.
    backward : callable
        From the signal that comes back to `value` to that for `x`, of its shape.

    Returns
    -------
    tensor
        Equal to `value`.
    """
    tf = _tensorflow()
    value = tf.stop_gradient(value)

    @tf.custom_gradient
    def linked(_: Any) -> tuple[Any, Callable[[Any], Any]]:
        # A layer may compute in a shorter type than that of what it is given.
        return tf.identity(value), lambda signal: tf.cast(backward(signal), x.dtype)

    return linked(x)


def _tensorflow() -> Any:
    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            "Networks are explained under the TensorFlow backend only.",
            received=keras.backend.backend(),
            hint="KERAS_BACKEND=tensorflow; a saved network loads under any backend",
        )

    return tf
