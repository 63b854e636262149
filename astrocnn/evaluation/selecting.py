"""The chapter of a report on which objects are kept, and what for the others are rejected."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from astrocnn.calibration.selection import Selection
from astrocnn.report.page import Chapter, Table
from astrocnn.targets import Task

__all__ = ["selection_chapter"]


def selection_chapter(
    selection: Selection,
    task: Task,
    encoded: Mapping[str, Any],
    weights: Mapping[str, Any],
    samples: Mapping[str, Any],
) -> Chapter:
    """What was asked for, what the validation split promised, and what the test split got.

    Parameters
    ----------
    selection : Selection
        Fitted on the validation split.
    task : Task
        What was predicted.
    encoded, weights, samples : mapping of str to ndarray
        Of the test split, as for `astrocnn.evaluation.score`.

    Returns
    -------
    Chapter
    """
    promised, got = selection.achieved, selection.judge(task, encoded, weights, samples)
    rows = [
        [name, *(_cell(found[key]) for found in (promised, got))]
        for key, name in _NAMES.items()
        if key in got
    ]
    tables = [Table(["", "validation split", "test split"], rows, "Of the selected objects")]
    reasons = _reasons(selection, task, encoded, weights, samples)
    if reasons:
        columns = ["", "rejected", "of which truly so", "selected in spite of it"]
        tables.append(Table(columns, reasons, "Rejected objects of the test split, by reason"))
    text = [
        f"{selection.summary[0].upper()}{selection.summary[1:]}.",
        "Brackets hold 95 % Wilson intervals. An object can be rejected for several reasons.",
    ]
    return Chapter("Selection", text, tables=tables)


_NAMES = {
    "completeness": "Completeness: positive objects that are selected",
    "purity": "Purity: selected objects that are positive",
    "fpr": "False positive rate: negative objects that are selected",
}


def _cell(three: tuple[float, float, float]) -> str:
    value, low, high = (f"{100 * number:.1f}" for number in three)
    return f"{value}\u00a0% [{low},\u00a0{high}]"


def _reasons(
    selection: Selection,
    task: Task,
    encoded: Mapping[str, Any],
    weights: Mapping[str, Any],
    samples: Mapping[str, Any],
) -> list[list[str]]:
    """For each reason how many are rejected for it, how many rightly, and how many slip through."""
    told = np.isfinite(np.asarray(samples[selection.target])).all(axis=(0, 2))
    kept = {name: np.asarray(s)[:, told] for name, s in samples.items()}
    verdict = selection.compute(SimpleNamespace(columns=task.summarize(kept)))
    selected = verdict["selected"] == 1
    given = [set(filter(None, text.split("+"))) for text in verdict["rejected_for"].tolist()]
    prefixes = {t.prefix: t.name for t in task.targets}
    rows = []
    for prefix in [*(name for name, _ in selection.reasons), f"{selection.prefix} probability low"]:
        named = np.array([prefix in words for words in given], bool)
        line = [prefix, str(int(named.sum())), "–", "–"]
        if prefix in prefixes:
            name = prefixes[prefix]
            true = np.asarray(encoded[name])[told, 0] >= 0.5
            known = np.asarray(weights[name])[told] > 0
            line[2] = str(int((named & true & known).sum()))
            line[3] = f"{int((selected & true & known).sum())} of {int((true & known).sum())}"
        rows.append(line)
    return rows
