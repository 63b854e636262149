"""SimCLR: the two views of an object against all other views of the batch (NT-Xent loss).

The more objects a batch has, the better: each of them is compared with all others.

References
----------
Chen et al. 2020, ICML (arXiv:2002.05709), equation 1 and section 2.1.
"""

from __future__ import annotations

from astrocnn.backend import Tensor, ops
from astrocnn.errors import ConfigError

__all__ = ["WIDTHS", "loss"]

WIDTHS = (256, 128)

_EXCLUDED = -1e9


def loss(first: Tensor, second: Tensor, *, temperature: float = 0.2) -> Tensor:
    """Cross-entropy of each view with a temperature, mean of the two views of an object.

    Parameters
    ----------
    first, second : tensor of shape (n, d)
    temperature : float
        Divides the cosine similarities: the lower, the more the nearest other objects count.

    Raises
    ------
    ConfigError
        If the temperature is not positive.
    """
    if not 0 < temperature < float("inf"):
        raise ConfigError(f"`temperature` must be a positive number; got {temperature}.")
    first, second = _normalize(first), _normalize(second)
    n = ops.shape(first)[0]
    # An object is no example of another one: its similarity with itself is left out.
    own = _EXCLUDED * ops.eye(n, dtype="float32")
    across = ops.matmul(first, ops.transpose(second)) / temperature
    positive = ops.sum(first * second, axis=1) / temperature
    one = ops.matmul(first, ops.transpose(first)) / temperature + own
    other = ops.matmul(second, ops.transpose(second)) / temperature + own
    partition = ops.logsumexp(ops.concatenate([across, one], axis=1), axis=1)
    partition += ops.logsumexp(ops.concatenate([ops.transpose(across), other], axis=1), axis=1)
    return partition / 2 - positive


def _normalize(z: Tensor) -> Tensor:
    return z / ops.sqrt(ops.sum(ops.square(z), axis=1, keepdims=True) + 1e-12)
