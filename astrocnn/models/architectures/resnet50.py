"""Residual network of 50 layers: three, four, six and three bottleneck blocks.

With its large stem, three bands and 1000 classes it has 25,557,032 trainable parameters.  A
block is a 1x1, a 3x3 and a 1x1 convolution; see `astrocnn.models.architectures._residual`, also for
the stem of small stamps.

References
----------
He et al. 2016, CVPR, 770 (arXiv:1512.03385), table 1.
"""

from __future__ import annotations

from astrocnn.models.architectures._residual import published, residual
from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["PUBLISHED", "REFERENCE", "features"]

REFERENCE = Reference("He et al. 2016", 224, 3, 1000, 25_557_032)

PUBLISHED = published((3, 4, 6, 3), bottleneck=True)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 2048)."""
    return residual(image, scalars, block, (3, 4, 6, 3), bottleneck=True)
