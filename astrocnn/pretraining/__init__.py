"""Learning without labels: two random views of each image shall have similar projections.

A method is a file in ``methods/`` with a function ``loss(first, second)``; a projector of dense
layers stands on the features of any architecture while it is trained and is dropped afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.pretraining.collapse import CollapseWatch, find_collapse
    from astrocnn.pretraining.fitting import PROJECTION, add_projector, bind_loss, fit_views

__all__ = [
    "PROJECTION",
    "CollapseWatch",
    "add_projector",
    "bind_loss",
    "find_collapse",
    "fit_views",
]

_HOME = {
    "PROJECTION": "fitting",
    "CollapseWatch": "collapse",
    "add_projector": "fitting",
    "bind_loss": "fitting",
    "find_collapse": "collapse",
    "fit_views": "fitting",
}

__getattr__ = lazy(__name__, _HOME)
