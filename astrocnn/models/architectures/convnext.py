"""ConvNeXt in the size Atto: stages of 2, 2, 6 and 2 blocks with 40, 80, 160 and 320 filters.

With its large stem, three bands and 1000 classes it has 3,695,520 parameters.  See
`astrocnn.models.architectures._convnext` for the blocks and the stem of small stamps.

The first paper's smallest is `convnext_tiny`; this size, in the blocks of that paper, is of Woo et
al. 2023: a few thousand galaxies do not feed more.

References
----------
Liu et al. 2022, CVPR (arXiv:2201.03545), section 2 and table 9.
Woo et al. 2023, CVPR (arXiv:2301.00808), section 4 (sizes).
"""

from __future__ import annotations

from astrocnn.models.architectures._convnext import body, published
from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["PUBLISHED", "REFERENCE", "features"]

REFERENCE = Reference("Liu et al. 2022, Atto of Woo et al. 2023", 224, 3, 1000, 3_695_520)
DEPTHS, FILTERS = (2, 2, 6, 2), 40
PUBLISHED = published(DEPTHS)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 320)."""
    return body(image, scalars, block, DEPTHS, FILTERS)
