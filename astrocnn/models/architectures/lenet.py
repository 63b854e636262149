"""LeNet-5, the ancestor: 32 x 32 pixels in one band, tanh, average pooling.

Convolutions of 5x5 with 6, 16 and 120 filters, 2x2 average pooling after the first two, one dense
layer of 84, and the head.

With ten classes it has 156 + 2,416 + 48,120 + 10,164 + 850 = 61,706 parameters.  The original,
with the same head, has 60,850: its second convolution looks only at some of the six maps (table 1
of the paper; 60 kernels instead of 96, so 900 weights fewer), while its two poolings learn a
factor and a bias for each map (2 x 6 + 2 x 16 = 44 parameters).  61,706 - 900 + 44 = 60,850.  (The
paper itself counts 60,000, for its output layer has fixed weights instead of the 850.)

The third convolution spans the whole 5 x 5 map of a 32-pixel image; on larger images its maps are
averaged, so that any size from 32 up is accepted.

References
----------
LeCun et al. 1998, Proc. IEEE 86, 2278, section II.B, figure 2 and table 1.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["REFERENCE", "features"]

REFERENCE = Reference("LeCun et al. 1998, with full connections", 32, 1, 10, 61_706)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 84)."""
    x = block.conv(image, 6, 5, padding="valid", activation="tanh")
    x = block.pool(x, kind="average")

    x = block.conv(x, 16, 5, padding="valid", activation="tanh")
    x = block.pool(x, kind="average")

    x = block.conv(x, 120, 5, padding="valid", activation="tanh")
    x = block.global_pool(x, scalars)
    return block.dense(x, 84, activation="tanh")
