"""What augmentations share: the contract of a step, and checks of their parameters."""

from __future__ import annotations

from typing import Protocol

from astrocnn.backend import tf
from astrocnn.errors import ConfigError

__all__ = ["SYMMETRIES", "Step", "check_not_negative", "require_sky"]

SYMMETRIES: tuple[str, ...] = ("handedness", "orientation", "size", "flux", "color", "position")
"""What an image can lose by an augmentation, and a label can depend on."""


class Step(Protocol):
    """A random change of images that is a pure function of the images and a seed.

    Images are linear fluxes, float32 of shape (n, height, width, n_bands), NaN where there are no
    data.  Nothing is clipped: negative fluxes stay negative, and pixels without data stay without.
    Shape and number of images do not change.

    A step may have a method ``bind(inputs)`` that returns the step for some `Inputs`, and a number
    `order`: those built by name act in this order, which is 100 by default.
    """

    @property
    def breaks(self) -> frozenset[str]:
        """Those of `SYMMETRIES` that an image loses: a label that depends on one is destroyed."""

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Change images; `seed` is int32 of shape (2,)."""


def check_not_negative(name: str, value: float) -> None:
    """Refuse a parameter that is negative or not finite.

    Raises
    ------
    ConfigError
        With its name and value.
    """
    if not 0 <= value < float("inf"):
        raise ConfigError(f"`{name}` must be a finite number >= 0; got {value}.")


def require_sky(sky: tuple[float, ...] | None, images: tf.Tensor) -> tf.Tensor:
    """The sky noise of each band of some images, of shape (n_bands,).

    Raises
    ------
    ConfigError
        If it is unknown, or for another number of bands.
    """
    if sky is None:
        raise ConfigError(
            "The sky noise, of which `level` is a multiple, is unknown.",
            hint="fit the normalization first (it measures the noise), or pass sky=(...)",
        )
    if len(sky) != images.shape[3]:
        raise ConfigError(
            "The sky noise is for another number of bands.",
            received=f"{len(sky)} numbers",
            allowed=f"{images.shape[3]} bands",
        )
    return tf.constant(sky, tf.float32)
