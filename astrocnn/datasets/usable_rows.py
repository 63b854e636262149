"""Which rows can be worked with, and why the others cannot."""

from __future__ import annotations

import numpy as np

from astrocnn.datasets.shards import Shards
from astrocnn.errors import InputsError
from astrocnn.flags import Flag
from astrocnn.imaging import Inputs

__all__ = ["usable"]


def usable(shards: Shards, inputs: Inputs) -> tuple[np.ndarray, dict[str, int]]:
    """Rows that can be trained on or predicted, and why the others cannot.

    Parameters
    ----------
    shards : Shards
    inputs : Inputs
        With ``mask_channel`` a row may lack some bands, otherwise none; without bands it needs
        no image, only its scalars.

    Returns
    -------
    rows : ndarray of int64
        Ascending.
    reasons : dict of str to int
        Number of rows left out, by sentence of `astrocnn.flags.Flag`; a row may count twice.

    Raises
    ------
    InputsError
        If no row is left.
    """
    inputs.check(shards)
    flags = shards.flags.astype(np.int32)
    if inputs.scalars:
        flags[~np.isfinite(shards.scalars(inputs.scalars)).all(axis=1)] |= Flag.SCALAR_MISSING
    refused = inputs.refused
    if inputs.bands:
        empty = np.asarray(shards.objects["no_data"]).min(axis=1) >= 1
        flags[empty] |= Flag.NO_COVERAGE
    bad = (flags & int(refused)) != 0
    reasons = {
        flag.sentence: int(((flags & flag.value) != 0).sum())
        for flag in Flag
        if flag.value & int(refused) and (flags & flag.value).any()
    }
    if bad.all():
        raise InputsError(
            f"None of the {len(flags)} objects has {'images' if inputs.bands else 'scalars'} "
            "to work with.",
            received="; ".join(f"{n} x {sentence}" for sentence, n in reasons.items()),
            hint="'astrocnn check' compares the catalogue with the files and their coverage",
        )
    return np.flatnonzero(~bad), reasons
