"""A network of magnitudes and colors: two fully connected layers, no image.

With N scalar inputs two hidden layers of 2N units follow, and the head: N:2N:2N:1 in the notation
of ANNz, which estimates redshifts with 5 magnitudes and a network 5:10:10:1 of 181 weights, biases
included.  Its sigmoid is written here as tanh, which is the same function of a rescaled argument
and trains better.

Taken from the original are the architecture and the committee: train members from several seeds and
average them.  Not taken: inputs are standardized rather than as they are; the head is whatever the
task predicts with, a density instead of one number; and a little dropout before the head makes
the network able to say how uncertain it is.  ``Options(width=...)`` makes both layers wider.

References
----------
Collister & Lahav 2004, PASP 116, 345, sections 2 and 4.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["HEAD_DROPOUT", "IMAGE", "REFERENCE", "features"]

IMAGE = False
REFERENCE = Reference("Collister & Lahav 2004", 0, 0, 1, 181, n_scalars=5)
HEAD_DROPOUT = 0.05


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 2 n_scalars)."""
    width = 2 * int(scalars.shape[-1])
    x = block.dense(scalars, width, activation="tanh")
    return block.dense(x, width, activation="tanh")
