"""Is a network wired right: one question a file, each answered by findings that say what to do.

Questions about the labels are answered by plain arrays; those about the network need one batch
``(x, y, weights)`` as `astrocnn.training.fit` takes it, and leave the network as it was.
"""

from __future__ import annotations

from astrocnn.training.diagnostics.finding import Finding
from astrocnn.training.diagnostics.input_range import check_inputs
from astrocnn.training.diagnostics.label_sanity import (
    check_balance,
    check_contradictions,
    check_leakage,
)
from astrocnn.training.diagnostics.layers import (
    LayerStatistics,
    check_layers,
    draw_layers,
    layer_statistics,
)
from astrocnn.training.diagnostics.memorizing import check_overfit
from astrocnn.training.diagnostics.non_finite import check_finite
from astrocnn.training.diagnostics.start import check_initial_loss
from astrocnn.training.diagnostics.symmetry import check_symmetry

__all__ = [
    "Finding",
    "LayerStatistics",
    "check_balance",
    "check_contradictions",
    "check_finite",
    "check_initial_loss",
    "check_inputs",
    "check_layers",
    "check_leakage",
    "check_overfit",
    "check_symmetry",
    "draw_layers",
    "layer_statistics",
]
