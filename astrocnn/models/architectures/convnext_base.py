"""ConvNeXt in the size Base: stages of 3, 3, 27 and 3 blocks with 128, 256, 512 and 1024 filters.

With its large stem, three bands and 1000 classes it has 88,591,464 parameters.  See
`astrocnn.models.architectures._convnext` for the blocks and the stem of small stamps.

References
----------
Liu et al. 2022, CVPR (arXiv:2201.03545), section 2 and table 9.
"""

from __future__ import annotations

from astrocnn.models.architectures._convnext import body, published
from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["PUBLISHED", "REFERENCE", "features"]

REFERENCE = Reference("Liu et al. 2022, Base", 224, 3, 1000, 88_591_464)
DEPTHS, FILTERS = (3, 3, 27, 3), 128
PUBLISHED = published(DEPTHS, "convnext_base")


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 1024)."""
    return body(image, scalars, block, DEPTHS, FILTERS)
