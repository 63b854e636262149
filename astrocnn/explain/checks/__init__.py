"""Can one believe the pictures?  Checks of maps, one a file.

A map may look right for the wrong reasons.  These checks ask whether it depends on what the network
has learned, whether the pixels it names matter to the answer, whether it moves with the image, and,
where the cause is known, whether it points there.  What they call ``method`` is the function
``pixel_map`` of a method of `astrocnn.explain`.
"""

from __future__ import annotations

from astrocnn.explain.checks.bands import band_share
from astrocnn.explain.checks.deletion import DeletionInsertion, deletion
from astrocnn.explain.checks.pointing import Pointing, pointing
from astrocnn.explain.checks.randomization import Randomization, randomization
from astrocnn.explain.checks.shift import shift

__all__ = [
    "CHECKS",
    "DeletionInsertion",
    "Pointing",
    "Randomization",
    "band_share",
    "deletion",
    "pointing",
    "randomization",
    "shift",
]

CHECKS = "astrocnn.explain.checks"
"""Package whose modules are the checks."""
