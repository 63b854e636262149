"""AlexNet without groups: five convolutions and two wide dense layers.

Input of 227 x 227 pixels in three bands; an 11x11 convolution of stride 4 with 96 filters, 5x5
with 256, 3x3 with 384, 384 and 256; 3x3 max pooling of stride 2, so that windows overlap, after
the first, second and fifth (227 to 55, 27, 13, 6 pixels); two dense layers of 4096, dropout of 0.5
after each; and the head.

With 1000 classes it has 62,378,344 parameters.  The paper has "60 million", 60,965,224 in the same
count: its second, fourth and fifth convolutions see only the half of the maps that lay on the same
graphics card, 1,413,120 weights fewer.  The paper says 224 pixels, from which its 55 x 55 maps do
not follow.  Not taken: groups, and the normalization over neighboring maps after the first two
convolutions, which brings nothing (Simonyan & Zisserman 2015, section 4.1).  The paper draws its
weights from a normal distribution of standard deviation 0.01; here it is that of He et al. 2015.

References
----------
Krizhevsky, Sutskever & Hinton 2012, NIPS 25, 1097, sections 3.5 and 4.2, figure 2.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "REFERENCE", "features"]

REFERENCE = Reference("Krizhevsky et al. 2012, without groups", 227, 3, 1000, 62_378_344)
HEAD_DROPOUT = 0.5


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 4096)."""
    x = block.conv(image, 96, 11, strides=4, padding="valid", initializer="he_normal")
    x = block.pool(x, 3, strides=2)

    x = block.conv(x, 256, 5, initializer="he_normal")
    x = block.pool(x, 3, strides=2)

    for filters in (384, 384, 256):
        x = block.conv(x, filters, 3, initializer="he_normal")
    x = block.pool(x, 3, strides=2)

    x = block.flatten(x, scalars)
    x = block.dense(x, 4096, initializer="he_normal")
    x = block.dropout(x, 0.5)
    return block.dense(x, 4096, initializer="he_normal")
