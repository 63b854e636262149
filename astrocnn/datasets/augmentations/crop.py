"""Random crops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations._affine import Affine, Placement
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs

__all__ = ["Crop"]


@dataclass(frozen=True)
class Crop(Affine):
    """A part of the image at random, enlarged to its size.

    Parameters
    ----------
    amount : float
        Largest fraction of the side that is cut off, uniform from 0; where, is uniform as well.
        The middle of the image, with the object, stays inside for values below 0.5.
    size : int, optional
        Side of the images [pixel]; by default that of the inputs (see `bind`).
    """

    amount: float = 0.3
    size: int | None = None
    order: ClassVar[int] = 5
    breaks: ClassVar[frozenset[str]] = frozenset({"size", "flux", "position"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.amount < 1:
            raise ConfigError(
                "The fraction that is cropped is out of range.",
                received=self.amount,
                allowed="0 <= amount < 1",
            )

    def bind(self, inputs: Inputs) -> Crop:
        """The same for the size of some inputs, if none was given."""
        return self if self.size is not None else replace(self, size=inputs.size)

    def placement(self, n: tf.Tensor, seed: tf.Tensor) -> Placement:
        """Where each pixel of n images comes from."""
        if self.size is None:
            raise ConfigError(
                "A crop needs the size of the images.", hint="Crop(0.3, size=64), or bind(inputs)"
            )
        cut, x, y = tf.unstack(tf.random.stateless_uniform((3, n), seed))
        cut *= self.amount
        matrix = tf.eye(2, batch_shape=[n]) * (1.0 - cut)[:, None, None]
        # Half of what was cut off on either side: further, the crop would leave the image.
        reach = cut * self.size / 2
        return matrix, tf.stack([reach * (2 * x - 1), reach * (2 * y - 1)], axis=-1)
