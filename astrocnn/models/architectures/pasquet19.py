"""Photometric redshift from SDSS images: inception blocks with average pooling.

Input of 64 x 64 pixels in five bands (ugriz) and one scalar, the Galactic reddening E(B-V).  A 5x5
convolution of 64 filters and 2x2 average pooling; two inception blocks, pooling, two more, pooling
(64 to 32 to 16 to 8 pixels), and a fifth block without its 5x5 branch; all numbers of all maps
with the reddening beside them; two dense layers of 1096; and the head, 180 redshift bins between
0 and 0.4 in the original.

A block has four branches side by side: 1x1; 1x1 then 3x3; 1x1 then 5x5; 1x1 then 2x2 average
pooling of stride 1.  The 1x1 convolutions that come first have 48, 64, 92, 92 and 92 filters, those
that end a branch 64, 92, 128, 128 and 128.  Convolutions end in a PReLU with one slope for each
map, dense layers in ReLU.

The paper counts 27,391,464 parameters.  That is exactly the number of weights of all these layers
without biases, slopes and head.  With the biases (2,628 and 2,192), the slopes (2,628) and a head
of 180 (197,460) there are 27,596,372.

Not taken from the original: weights begin at random by He et al. (2015), and biases at 0, not by
Glorot & Bengio (2010) and at 0.1.  With those, the features from the maps are a hundredth of the
colors beside them in size, and the dense layers learn to ignore the images: on simulated galaxies
pixels then lowered the negative log likelihood by 0.03, and by 0.09 as it is here
(``pipelines/simulated_redshifts.py``).  Images are stretched and scaled by the normalization of
astrocnn; the redshift is a probability for each bin as there, unless the task sets another.  Not
known from paper or published network: whether dropout was used in training, and at which rate.
Here it is 0.5 after each dense layer, as in most networks with layers of this kind (Krizhevsky et
al. 2012, section 4.2); all that comes before is computed once for all draws.

References
----------
Pasquet et al. 2019, A&A 621, A26, section 3 and figures 3 and 4; layer sizes from the network
published with it.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "REFERENCE", "features"]

REFERENCE = Reference("Pasquet et al. 2019", 64, 5, 180, 27_596_372, n_scalars=1)
HEAD_DROPOUT = 0.5


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 1096)."""
    x = _conv(image, 64, 5, block)
    x = _halve(x, block)
    x = _inception(x, 48, 64, block)
    x = _inception(x, 64, 92, block)
    x = _halve(x, block)
    x = _inception(x, 92, 128, block)
    x = _inception(x, 92, 128, block)
    x = _halve(x, block)
    x = _inception(x, 92, 128, block, widest=3)

    x = block.flatten(x, scalars)
    x = block.dense(x, 1096, initializer="he_normal")
    x = block.dropout(x, 0.5)
    return block.dense(x, 1096, initializer="he_normal")


def _inception(x: Tensor, inner: int, outer: int, block: Block, widest: int = 5) -> Tensor:
    branches = [_conv(x, outer, 1, block)]
    for window in range(3, widest + 1, 2):
        branches.append(_conv(_conv(x, inner, 1, block), outer, window, block))
    branch = _conv(x, inner, 1, block)
    branches.append(block.pool(branch, 2, strides=1, padding="same", kind="average"))
    return block.concatenate(*branches)


def _conv(x: Tensor, filters: int, window: int, block: Block) -> Tensor:
    return block.conv(x, filters, window, activation="prelu", initializer="he_normal")


def _halve(x: Tensor, block: Block) -> Tensor:
    return block.pool(x, 2, padding="same", kind="average")
