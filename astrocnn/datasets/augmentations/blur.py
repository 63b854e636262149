"""Worse seeing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from astrocnn.backend import tf
from astrocnn.datasets.augmentations.base import check_not_negative

__all__ = ["Blur"]

_REACH = 3.0
"""Standard deviations after which the kernel ends: 0.3 % of its weight is beyond."""


@dataclass(frozen=True)
class Blur:
    """A wider point-spread function: convolution with a Gaussian, for each object its own.

    All bands of an object are smoothed equally.  A smoothed pixel is the weighted mean of those
    that have data; pixels without data stay without.  Beyond the border the image is mirrored.
    Noise is smoothed with the image.

    Parameters
    ----------
    sigma : float
        Largest standard deviation of the Gaussian [pixel]; uniform from 0.
    """

    sigma: float = 1.0
    order: ClassVar[int] = 35
    breaks: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        check_not_negative("sigma", self.sigma)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        # The mirror image of a small stamp has no more pixels than the stamp.
        radius = min(math.ceil(_REACH * self.sigma), min(images.shape[1:3]) - 1)
        if radius < 1:
            return images
        sigma = self.sigma * tf.random.stateless_uniform((tf.shape(images)[0], 1), seed)
        places = tf.range(-radius, radius + 1, dtype=tf.float32)
        # In place of 0, a width so small that the neighbors get no weight.
        kernel = tf.nn.softmax(-0.5 * tf.square(places / tf.maximum(sigma, 1e-3)), axis=1)
        valid = tf.math.is_finite(images)

        def with_holes() -> tf.Tensor:
            weight = _smooth(tf.cast(valid, tf.float32), kernel, radius)
            total = _smooth(tf.where(valid, images, 0.0), kernel, radius)
            return tf.where(valid, total / tf.maximum(weight, 1e-6), images)

        return tf.cond(tf.reduce_all(valid), lambda: _smooth(images, kernel, radius), with_holes)


def _smooth(images: tf.Tensor, kernel: tf.Tensor, radius: int) -> tf.Tensor:
    """Convolve each image with its kernel (n, 2 radius + 1), along y and along x."""
    for axis in (1, 2):
        border = [[0, 0]] * 4
        border[axis] = [radius, radius]
        padded = tf.pad(images, border, "SYMMETRIC")
        size = images.shape[axis]
        # A sum of shifted images: a convolution with a kernel for each image is far slower.
        images = tf.add_n(
            [
                kernel[:, k, None, None, None]
                * (padded[:, k : k + size] if axis == 1 else padded[:, :, k : k + size])
                for k in range(2 * radius + 1)
            ]
        )
    return images
