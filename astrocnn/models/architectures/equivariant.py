"""A network whose answer does not change when the image is turned or mirrored, by construction.

Four pairs of 3x3 convolutions with 8, 16, 32 and 64 filters, each filter used in its eight
orientations, with batch normalization over all orientations and ReLU; max pooling between the
pairs; the mean of each map over pixels and orientations; dropout, and the head.  It is `plain8`
with the symmetry of the square built in: a quarter of its filters, in eight orientations each.

Features, and hence all probabilities, are the same for the eight orientations of an image, up to
rounding: training needs no turned copies, and no orientation is favored.  Labels that a mirror
changes (handedness of spirals) and numbers that turn with the image (position angles) cannot be
learned by it.

Poolings take 2x2 pixels where the side is even and 3x3 about every second pixel where it is odd, so
that the pixels left over never lie on one side only.

Parameters with three bands: 585,432 (kernels, each with its eight orientations; no biases) + 480
(normalization) + 65 for each number of the head.  A step costs four times one of `plain8`.

References
----------
Cohen & Welling 2016, ICML (arXiv:1602.07576), sections 6 and 8.
Dieleman, Willett & Dambre 2015, MNRAS 450, 1441, section 5 (orientations of galaxies).
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "REFERENCE", "features"]

REFERENCE = Reference("counted by hand", 64, 3, 3, 586_107)
HEAD_DROPOUT = 0.5


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 64)."""
    x = image
    for filters in (8, 16, 32, 64):
        if filters > 8:
            x = _halve(x, block)
        for _ in range(2):
            x = block.conv(
                x, filters, 3, normalization="batch", initializer="he_normal", orientations=True
            )
    return block.global_pool(x, scalars)


def _halve(x: Tensor, block: Block) -> Tensor:
    # A pixel left over on one side only would break the symmetry.
    even = x.shape[1] % 2 == 0
    return block.pool(x, 2 if even else 3, strides=2, padding="valid" if even else "same")
