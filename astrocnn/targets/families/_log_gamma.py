"""The logarithm of the gamma function, which the backends of Keras do not share."""

from __future__ import annotations

import math
from typing import Any

from astrocnn.backend import ops

__all__ = ["log_gamma"]

_SHIFT = 6
_ENOUGH = 8.0


def log_gamma(x: Any) -> Any:
    """log Gamma(x) for x of at least 1, to the precision of float32.

    Stirling's series, after Gamma(x + 1) = x Gamma(x) has brought small arguments to where it
    holds.

    References
    ----------
    Abramowitz & Stegun 1964, equations 6.1.15 and 6.1.41.
    """

    x = ops.cast(x, "float32")
    small = x < _ENOUGH
    # Bounded, so that the branch not taken has no overflow to spoil the gradient.
    low = ops.minimum(x, _ENOUGH)
    product = low
    for i in range(1, _SHIFT):
        product = product * (low + float(i))
    y = ops.where(small, x + float(_SHIFT), x)
    inverse = 1.0 / y
    square = inverse * inverse
    series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0))
    stirling = (y - 0.5) * ops.log(y) - y + 0.5 * math.log(2.0 * math.pi) + series
    return stirling - ops.where(small, ops.log(product), 0.0)
