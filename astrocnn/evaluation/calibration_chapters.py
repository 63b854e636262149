"""Chapters of a report on what was fitted on the validation split: calibration and selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration import Remap, Selection, remap_held_out
from astrocnn.evaluation import figures
from astrocnn.evaluation.kinds import evaluate_target
from astrocnn.evaluation.labels import get_label
from astrocnn.report.page import Chapter, Picture, Table
from astrocnn.targets import Task

__all__ = ["calibration_chapter", "calibration_table", "compare_calibration", "selection_chapter"]


def compare_calibration(
    task: Task,
    remaps: Mapping[str, Remap],
    encoded: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    samples: Mapping[str, NDArray[Any]],
    *,
    seed: int = 0,
) -> dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """Cross-fit a calibration to show it: fit on one half of the objects, apply to the other.

    Parameters
    ----------
    task : Task
    remaps : mapping of str to Remap
        Fitted remap of each calibrated target.
    encoded, weights, samples : mapping of str to ndarray
        Those of the validation split.
    seed : int
        Of the division into halves.

    Returns
    -------
    dict of str to pair of ndarray
        `TargetEvaluation.calibration_data` of the other half before and after, by target.
    """
    compared: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]] = {}
    for name, remap in remaps.items():
        target = task.target(name)
        data = encoded[name], weights[name], samples[name]
        rows, remapped_samples = remap_held_out(type(remap), target.family, *data, seed=seed)
        labels = encoded[name][rows], weights[name][rows]
        remapped = replace(target, family=remap.family(target.family))
        before = evaluate_target(target, *labels, samples[name][:, rows]).calibration_data()
        after = evaluate_target(remapped, *labels, remapped_samples).calibration_data()
        if before is not None and after is not None:
            compared[name] = before, after
    return compared


def calibration_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Scores before and after a calibration.

    Parameters
    ----------
    rows : sequence of mapping
        As `astrocnn.calibration.Calibration.table`.
    """
    cells = [
        [
            f"{row['target']}: {get_label(row['score'])}",
            *("" if (v := row.get(key)) is None else f"{v:.4g}" for key in _CALIBRATION_COLUMNS),
        ]
        for row in rows
    ]
    columns = ["Score", *_CALIBRATION_COLUMNS]
    caption = (
        "Before and after, cross-fitted on the validation split; expected for a perfectly "
        "calibrated model"
    )
    return Table(columns, cells, caption, numeric=True)


_CALIBRATION_COLUMNS = ("before", "after", "expected")


def calibration_chapter(
    rows: Sequence[Mapping[str, Any]],
    compared: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
    notes: Sequence[str] = (),
) -> Chapter:
    """Scores and figures before and after a calibration.

    Parameters
    ----------
    rows : sequence of mapping
        As `astrocnn.calibration.Calibration.table`.
    compared : mapping of str to pair of ndarray
        `TargetEvaluation.calibration_data` before and after, of the same objects, by target.
    notes : sequence of str
        Other fits on these objects, a selection for instance, and remarks.
    """
    text = [
        "Cross-fitted: fitted on one half of the validation split, scored on the other; the "
        "calibration applied to predictions is fitted on both. The test split is not used."
    ]
    # The name of a target stays as it is.
    text += [f"{n if ':' in n else n[:1].upper() + n[1:]}." for n in notes]
    pictures = []
    for name, (before, after) in compared.items():
        if len(before) == 2:
            values = {"before": tuple(before), "after": tuple(after)}
            caption = (
                f"{name}: reliability diagram before and after temperature scaling. A "
                "calibrated model follows the diagonal; bars are 95 % Wilson intervals."
            )
            pictures.append(Picture(figures.plot_reliability(values, n_bins=12), caption))
            continue
        for plot, label in (
            (figures.plot_pit_histogram, "histogram of the PIT"),
            (figures.plot_qq, "Q-Q plot of the PIT"),
        ):
            caption = f"{name}: {label} before and after recalibration. Gray: expected scatter "
            figure = plot({"before": before[0], "after": after[0]})
            pictures.append(Picture(figure, f"{caption}of a calibrated model."))
    return Chapter("Calibration", text, pictures, [calibration_table(rows)] if rows else [])


def selection_chapter(
    selection: Selection,
    task: Task,
    encoded: Mapping[str, Any],
    weights: Mapping[str, Any],
    samples: Mapping[str, Any],
) -> Chapter:
    """A selection as fitted on the validation split, and its rates on the test split.

    Parameters
    ----------
    selection : Selection
        Fitted on the validation split.
    task, encoded, weights, samples
        As for `astrocnn.evaluation.score`, of the test split.
    """
    rates = selection.achieved, selection.compute_rates(task, encoded, weights, samples)
    rows = [
        [label, *(_format_rate(rate[key]) for rate in rates)]
        for key, label in _RATES.items()
        if key in rates[1]
    ]
    columns = ["", "validation split", "test split"]
    tables = [Table(columns, rows, "Selected objects", numeric=True)]
    reasons = _build_reason_rows(selection, task, encoded, weights, samples)
    columns = ["Reason", "rejected", "correctly rejected", "selected in spite of it"]
    caption = "Rejected objects of the test split, by reason"
    tables.append(Table(columns, reasons, caption, numeric=True))
    text = [
        f"{selection.summary[0].upper()}{selection.summary[1:]}.",
        "Brackets hold 95 % Wilson intervals. An object can be rejected for several reasons.",
    ]
    return Chapter("Selection", text, tables=tables)


_RATES = {
    "completeness": "Completeness\nfraction of positive objects that are selected",
    "purity": "Purity\nfraction of selected objects that are positive",
    "fpr": "False positive rate\nfraction of negative objects that are selected",
}


def _format_rate(rate: tuple[float, float, float]) -> str:
    value, low, high = (f"{100 * number:.1f}" for number in rate)
    return f"{value}\u00a0% [{low},\u00a0{high}]"


def _build_reason_rows(
    selection: Selection,
    task: Task,
    encoded: Mapping[str, Any],
    weights: Mapping[str, Any],
    samples: Mapping[str, Any],
) -> list[list[str]]:
    """Per reason: objects rejected for it, correctly so, and selected in spite of it."""
    predicted = np.isfinite(np.asarray(samples[selection.target])).all(axis=(0, 2))
    columns = task.summarize({name: np.asarray(s)[:, predicted] for name, s in samples.items()})

    def reaches(prefix: str, threshold: float) -> NDArray[np.bool_]:
        return np.asarray(columns[f"{prefix}_p"], np.float64) >= threshold

    selected = reaches(selection.prefix, selection.threshold)
    names = {t.prefix: t.name for t in task.targets}
    unexplained = ~selected
    rows = []
    for prefix, threshold in selection.reasons:
        name = names[prefix]
        rejected = ~selected & reaches(prefix, threshold)
        unexplained &= ~rejected
        labelled = np.asarray(weights[name])[predicted] > 0
        true = labelled & (np.asarray(encoded[name])[predicted, 0] >= 0.5)
        in_spite = f"{int((selected & true).sum())} of {int(true.sum())}"
        rows.append([prefix, str(rejected.sum()), str((rejected & true).sum()), in_spite])
    rows.append([f"{selection.prefix} probability low", str(unexplained.sum()), "–", "–"])
    return rows
