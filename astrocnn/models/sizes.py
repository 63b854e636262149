"""Arithmetic of convolution and pooling layers."""

from __future__ import annotations

from astrocnn.errors import ModelError

__all__ = ["ImageTooSmall", "conv_parameters", "extent"]


class ImageTooSmall(ModelError):
    """The image has shrunk below the window of the next layer."""


def extent(size: int, window: int, *, padding: int = 0, stride: int = 1) -> int:
    """Pixels a side after a convolution or pooling, (W - F + 2P) / S + 1 rounded down.

    Parameters
    ----------
    size : int
        W, pixels a side before.
    window : int
        F, pixels a side of the kernel or the pooling window.
    padding : int
        P, pixels added on each side.
    stride : int
        S, step of the window [pixel].

    Examples
    --------
    >>> extent(69, 6, padding=0, stride=1)
    64
    """
    return (size - window + 2 * padding) // stride + 1


def conv_parameters(window: int, channels: int, filters: int) -> int:
    """Weights and biases of a convolution, (F F C_in + 1) C_out.

    Examples
    --------
    >>> conv_parameters(5, 3, 32)
    2432
    """
    return (window * window * channels + 1) * filters
