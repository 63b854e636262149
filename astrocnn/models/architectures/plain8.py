"""A plain network of eight batch-normalized convolutions, for a few thousand labelled stamps.

Four pairs of 3x3 convolutions with 32, 64, 128 and 256 filters, batch normalization and ReLU after
each, 2x2 max pooling between the pairs, the mean of each map, dropout, and the head.  It is VGG
(Simonyan & Zisserman) without its dense layers, which hold most of the parameters and overfit
small samples; the mean over the maps is that of Lin et al., and batch normalization that of Ioffe &
Szegedy.

Parameters with three bands: 1,171,296 (kernels; no biases) + 1,920 (normalization) + 257 for each
number of the head.

References
----------
Simonyan & Zisserman 2015, arXiv:1409.1556, section 2.1.
Lin et al. 2014, arXiv:1312.4400, section 3.2.
Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "REFERENCE", "features"]

REFERENCE = Reference("counted by hand", 64, 3, 3, 1_173_987)
HEAD_DROPOUT = 0.5


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 256)."""
    x = image
    for filters in (32, 64, 128, 256):
        if filters > 32:
            x = block.pool(x)
        for _ in range(2):
            x = block.conv(x, filters, 3, normalization="batch", initializer="he_normal")
    return block.global_pool(x, scalars)
