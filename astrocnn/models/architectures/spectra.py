"""Spectra: four convolutions along the wavelength and one dense layer, after QuasarNET.

Takes no image: the scalars, in their order, are the fluxes of one spectrum on a grid of
wavelengths that all objects share, as in ``Inputs((), 0, scalars=("flux_000", "flux_001", ...))``.
QuasarNET rebins to 443 values, evenly spaced in the logarithm of the wavelength; a FITS table, and
hence a shard, has room for some hundreds of columns (999).

Four convolutions of 10 values in steps of 2 with 100 filters, batch normalization and ReLU; all
numbers of all maps; one dense layer of 100, batch normalization and ReLU; and the head.

With 443 values and a head of 6 units there are 582,706 parameters: 301,000 + 280,100 + 1,000
(normalization) + 606.  The original does not pad its convolutions, so that 20 numbers of each map
are left instead of 28, and the dense layer has 80,000 weights fewer; padded, a spectrum may have
any length.

Not taken: the head, which looks for each emission line in boxes of wavelength.

References
----------
Busca & Balland 2018, arXiv:1808.09955, section 3; layer sizes from the network published with it.
"""

from __future__ import annotations

from astrocnn.models.architectures.base import Block, Reference, Tensor

__all__ = ["IMAGE", "REFERENCE", "features"]

IMAGE = False
REFERENCE = Reference("Busca & Balland 2018, padded", 0, 0, 6, 582_706, n_scalars=443)


def features(image: Tensor, scalars: Tensor, block: Block) -> Tensor:
    """Features of shape (batch, 100)."""
    # Convolutions need an axis of channels, here one.
    x = block.reshape(scalars, (int(scalars.shape[-1]), 1))
    for _ in range(4):
        x = block.conv(x, 100, 10, strides=2, normalization="batch")
    x = block.flatten(x)
    x = block.dense(x, 100, activation=None)
    return block.activate(block.normalize(x))
