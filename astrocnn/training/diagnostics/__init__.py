"""Checks of data and network before a long training; each `Finding` says what to do.

Checks of the labels take arrays; those of the network take one batch
``(x, y, weights)`` as `astrocnn.training.fit` takes it, and leave the network as it was.
"""

from __future__ import annotations

from astrocnn.training.diagnostics.data_checks import (
    Finding,
    check_balance,
    check_contradictions,
    check_inputs,
    check_leakage,
)
from astrocnn.training.diagnostics.network_checks import (
    LayerStatistics,
    check_finite,
    check_initial_loss,
    check_layers,
    check_overfit,
    check_symmetry,
    compute_layer_statistics,
    plot_layers,
)

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
    "plot_layers",
    "compute_layer_statistics",
]
