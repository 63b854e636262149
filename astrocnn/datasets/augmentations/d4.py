"""The symmetries of the square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.symmetry import ELEMENTS, d4_tables
from astrocnn.errors import InputsError

__all__ = ["D4"]


@dataclass(frozen=True)
class D4:
    """One of the eight symmetries of the square, or of its four rotations, each as often.

    Parameters
    ----------
    reflections : bool
        False leaves out the four mirror images, and with them the break of handedness.
    """

    reflections: bool = True
    order: ClassVar[int] = 0

    @classmethod
    def from_option(cls, value: Any) -> D4:
        """From the value in a run file: true, or "rotations" to leave out the mirror images."""
        return cls(reflections=value != "rotations")

    @property
    def breaks(self) -> frozenset[str]:
        """Handedness, when there are reflections."""
        return frozenset({"handedness"} if self.reflections else ())

    def elements(self, n: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The symmetry each of n images gets, int32 of shape (n,)."""
        top = ELEMENTS if self.reflections else ELEMENTS // 2
        return tf.random.stateless_uniform((n,), seed, 0, top, dtype=tf.int32)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        size, n_bands = images.shape[1], images.shape[3]
        if size != images.shape[2]:
            raise InputsError("D4 needs square images.", received=f"shape {images.shape}")
        n = tf.shape(images)[0]
        # Keras' RandomFlip uses one random number for both axes; tables make all eight elements
        # equally likely.
        places = tf.gather(tf.constant(d4_tables(size)), self.elements(n, seed))
        places += tf.range(n)[:, None] * size**2
        moved = tf.gather(tf.reshape(images, (-1, n_bands)), tf.reshape(places, (-1,)))
        return tf.reshape(moved, tf.shape(images))
