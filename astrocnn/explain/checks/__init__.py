"""Checks of attribution maps.

The checks measure whether a map depends on the weights (`randomization`), whether its most
important pixels change the target (`deletion`), whether it moves with the image (`shift`), and,
where the cause is known, whether it lies there (`pointing`).  Where they take a ``method``, it is
one of `astrocnn.explain.methods`.
"""

from __future__ import annotations

from astrocnn.explain.checks.deletion import DeletionInsertion, deletion
from astrocnn.explain.checks.fractions import Pointing, band_fractions, pointing
from astrocnn.explain.checks.sensitivity import Randomization, randomization, shift

__all__ = [
    "DeletionInsertion",
    "Pointing",
    "Randomization",
    "band_fractions",
    "deletion",
    "pointing",
    "randomization",
    "shift",
]
