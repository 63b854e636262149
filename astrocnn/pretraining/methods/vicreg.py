"""VICReg: views of an object agree, each unit varies over the objects, and no two units covary.

No object is compared with another one, so that small batches do as well as large ones.

References
----------
Bardes, Ponce & LeCun 2022, ICLR (arXiv:2105.04906), equations 1 to 6 and algorithm 1.
"""

from __future__ import annotations

from astrocnn.backend import Tensor, ops
from astrocnn.errors import ConfigError

__all__ = ["WIDTHS", "loss"]

WIDTHS = (512, 512, 512)

_FLOOR = 1e-4
"""Epsilon in the standard deviation of the paper, against an infinite gradient at 0."""


def loss(
    first: Tensor,
    second: Tensor,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """Invariance of each object, and variance and covariance of the batch.

    Parameters
    ----------
    first, second : tensor of shape (n, d)
        At least two objects.
    invariance, variance, covariance : float
        Weights of the three terms.

    Raises
    ------
    ConfigError
        If a weight is negative.
    """
    for name, value in (
        ("invariance", invariance),
        ("variance", variance),
        ("covariance", covariance),
    ):
        if not 0 <= value < float("inf"):
            raise ConfigError(f"`{name}` must be a finite number >= 0; got {value}.")
    batch = sum(
        variance * _variance(z) + covariance * _covariance(z)
        for z in (_center(first), _center(second))
    )
    return invariance * ops.mean(ops.square(first - second), axis=1) + batch


def _center(z: Tensor) -> Tensor:
    return z - ops.mean(z, axis=0, keepdims=True)


def _variance(centered: Tensor) -> Tensor:
    """Mean over the units of how far the standard deviation is below 1."""
    n = ops.cast(ops.shape(centered)[0], "float32")
    deviation = ops.sqrt(ops.sum(ops.square(centered), axis=0) / (n - 1) + _FLOOR)
    return ops.mean(ops.relu(1 - deviation))


def _covariance(centered: Tensor) -> Tensor:
    """Sum of the squared covariances of different units, divided by their number."""
    n, d = (ops.cast(size, "float32") for size in ops.shape(centered))
    matrix = ops.matmul(ops.transpose(centered), centered) / (n - 1)
    diagonal = ops.sum(ops.square(ops.sum(ops.square(centered), axis=0) / (n - 1)))
    return (ops.sum(ops.square(matrix)) - diagonal) / d
