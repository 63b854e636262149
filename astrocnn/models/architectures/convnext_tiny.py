"""ConvNeXt in the size Tiny: stages of 3, 3, 9 and 3 blocks with 96, 192, 384 and 768 filters.

With its large stem, three bands and 1000 classes it has 28,589,128 parameters.  See
`astrocnn.models.architectures._convnext` for the blocks and the stem of small stamps.

References
----------
Liu et al. 2022, CVPR (arXiv:2201.03545), section 2 and table 9.
"""

from __future__ import annotations

from astrocnn.models.architectures._convnext import body, published
from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["PUBLISHED", "REFERENCE", "features"]

REFERENCE = Reference("Liu et al. 2022, Tiny", 224, 3, 1000, 28_589_128)
DEPTHS, FILTERS = (3, 3, 9, 3), 96
PUBLISHED = published(DEPTHS, "convnext_tiny")


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 768)."""
    return body(image, scalars, block, DEPTHS, FILTERS)
