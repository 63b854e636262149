"""Residual network of 18 layers: two, two, two and two basic blocks of two 3x3 convolutions.

With its large stem, three bands and 1000 classes it has 11,689,512 trainable parameters.  See
`astrocnn.models.architectures._residual` for the blocks and the stem of small stamps.

References
----------
He et al. 2016, CVPR, 770 (arXiv:1512.03385), table 1.
"""

from __future__ import annotations

from astrocnn.models.architectures._residual import published, residual
from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["PUBLISHED", "REFERENCE", "features"]

REFERENCE = Reference("He et al. 2016", 224, 3, 1000, 11_689_512)

PUBLISHED = published((2, 2, 2, 2))


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 512)."""
    return residual(image, scalars, block, (2, 2, 2, 2))
