"""VGG with 16 layers (configuration D): nothing but 3x3 convolutions, and two wide dense layers.

Input of 224 x 224 pixels in three bands; two convolutions of 64 filters, two of 128, three of 256,
three of 512 and three of 512, 2x2 max pooling after each group (224 to 112, 56, 28, 14, 7 pixels);
two dense layers of 4096, dropout of 0.5 after each; and the head.

With 1000 classes it has 138,357,544 parameters (table 2 of the paper: 138 million), 102,764,544 of
them in the first dense layer, which shrinks with the image: 8,392,704 at 64 pixels.

The paper starts its deep networks from trained shallow ones, or (its note in section 3.1) from the
initialization of Glorot & Bengio; here it is that of He et al. 2015, made for ReLU.

References
----------
Simonyan & Zisserman 2015, ICLR (arXiv:1409.1556), tables 1 and 2, section 3.1.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "REFERENCE", "features"]

REFERENCE = Reference("Simonyan & Zisserman 2015", 224, 3, 1000, 138_357_544)
HEAD_DROPOUT = 0.5


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 4096)."""
    x = image
    for count, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            x = block.conv(x, filters, 3, initializer="he_normal")
        x = block.pool(x)

    x = block.flatten(x, scalars)
    x = block.dense(x, 4096, initializer="he_normal")
    x = block.dropout(x, 0.5)
    return block.dense(x, 4096, initializer="he_normal")
