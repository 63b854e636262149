"""Galaxy morphology in SDSS: four convolutions, dropout after each layer.

Input of 69 x 69 pixels in three bands; convolutions of 6x6, 5x5, 2x2 and 3x3 pixels with 32, 64,
128 and 128 filters, dropout of 0.5, 0.25, 0.25 and 0.25 after them, 2x2 max pooling after the
second and third, one dense layer of 64, dropout of 0.5, and the head.

The convolutions are padded ("same") and step by one pixel, so that only the two poolings shrink
the image: 69 to 34 to 17 pixels.  The dense layer then sees 17 x 17 x 128 = 36,992 numbers and
holds nearly all of the parameters: 3,488 + 51,264 + 32,896 + 147,584 (convolutions) + 2,367,552
(dense) + 65 (one output) = 2,602,849.  Unpadded convolutions would leave 12 x 12 x 128 numbers and
1,414,977 parameters.

References
----------
Dominguez Sanchez et al. 2018, MNRAS 476, 3661, section 3 and figure 2.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "REFERENCE", "features"]

REFERENCE = Reference("Dominguez Sanchez et al. 2018", 69, 3, 1, 2_602_849)
HEAD_DROPOUT = 0.5


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 64)."""
    x = block.conv(image, 32, 6)
    x = block.dropout(x, 0.5)

    x = block.conv(x, 64, 5)
    x = block.pool(x)
    x = block.dropout(x, 0.25)

    x = block.conv(x, 128, 2)
    x = block.pool(x)
    x = block.dropout(x, 0.25)

    x = block.conv(x, 128, 3)
    x = block.dropout(x, 0.25)

    x = block.flatten(x, scalars)
    return block.dense(x, 64)
