"""Changes of scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations._affine import Affine, Placement
from astrocnn.datasets.augmentations.base import check_not_negative

__all__ = ["Zoom"]


@dataclass(frozen=True)
class Zoom(Affine):
    """A change of scale, log-uniform between 1 / (1 + amount) and 1 + amount.

    Surface brightness is kept, as for the same galaxy nearer or farther; the total flux is not.
    """

    amount: float = 0.1
    order: ClassVar[int] = 30
    breaks: ClassVar[frozenset[str]] = frozenset({"size", "flux"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative("amount", self.amount)

    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""
        # Even in the logarithm: as many objects shrink as grow by a factor.
        most = math.log1p(self.amount)
        factor = tf.exp(tf.random.stateless_uniform((n,), seed, -most, most))
        # Divided, because the matrix leads from new pixels to old ones.
        matrix = tf.eye(2, batch_shape=[n]) / factor[:, None, None]
        return matrix, tf.zeros((n, 2))
