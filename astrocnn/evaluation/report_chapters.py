"""Chapters of a report on predictions: scores, figures, galleries, selection and calibration.

Tables and figures are those that the kind of each target declares (`astrocnn.evaluation.kinds`);
nothing here depends on which kind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.calibration import Remap, remap_held_out
from astrocnn.calibration.selection import Selection
from astrocnn.evaluation import figures
from astrocnn.evaluation.kinds import (
    FigureSpec,
    TargetEvaluation,
    evaluate_target,
    get_kind,
)
from astrocnn.evaluation.labels import (
    format_interval,
    format_score,
    format_value,
    get_class_labels,
    get_label,
    split_class_score,
)
from astrocnn.evaluation.scores import find_headline
from astrocnn.metrics import Score
from astrocnn.report.gallery import compute_band_levels, plot_gallery
from astrocnn.report.page import Chapter, Headline, Picture, Table
from astrocnn.targets import Task

__all__ = [
    "calibration_chapter",
    "calibration_table",
    "compare_calibration",
    "figure_chapters",
    "gallery_chapter",
    "list_grouped_targets",
    "make_headline",
    "score_tables",
    "scores_chapter",
    "selection_chapter",
]

_MAX_SEPARATE = 3
"""Groupable targets beside that of the headline with tables, figures and galleries of their own."""


def make_headline(
    task: Task, scores: Sequence[Score], baselines: Mapping[str, Sequence[Score]] | None = None
) -> Headline:
    """The headline score of a task with that of each baseline."""
    first = find_headline(task, scores)
    alternatives = [
        (name, format_value(s), format_interval(s))
        for name, baseline_scores in (baselines or {}).items()
        for s in baseline_scores
        if (s.target, s.name) == (first.target, first.name)
    ]
    excluded = f"; {first.n_excluded:,} excluded ({first.reason})" if first.n_excluded else ""
    note = f"; {first.note}" if first.note else ""
    interval = format_interval(first)
    return Headline(
        f"{get_label(first.name)}, {first.target}",
        format_value(first),
        f"{100 * first.level:g} % interval {interval}" if interval else "",
        alternatives,
        f"On {first.n_used:,} objects of the test split{excluded}{note}.",
    )


def list_grouped_targets(task: Task) -> list[str]:
    """Targets that share one table and joint figures, because there are many of them.

    The target of the headline is never among them.
    """
    headline = task.headline.partition(".")[0]
    groupable = [t.name for t in task.targets if t.name != headline and get_kind(t).is_groupable(t)]
    return groupable if len(groupable) > _MAX_SEPARATE else []


def score_tables(
    task: Task,
    scores: Sequence[Score],
    baselines: Mapping[str, Sequence[Score]] | None = None,
    *,
    compact: bool = False,
) -> list[Table]:
    """All scores with their intervals, one table per target, beside those of the baselines.

    Parameters
    ----------
    task : Task
        The task of the model.
    scores : sequence of Score
        Scores of the model.
    baselines : mapping of str to sequence of Score, optional
        Scores of each baseline, by its name.
    compact : bool
        For a terminal: no scores of single classes, no notes, no intervals of baselines.
    """
    grouped = list_grouped_targets(task)
    tables = []
    for name in (*task.names, ""):
        if name in grouped:
            if name == grouped[0]:
                tables.append(
                    _grouped_table(task, scores, format_value if compact else format_score)
                )
            continue
        target_scores = [s for s in scores if s.target == name]
        if not target_scores:
            continue
        scores_by_baseline = {
            label: {s.name: s for s in scored if s.target == name}
            for label, scored in (baselines or {}).items()
            if any(s.target == name for s in scored)
        }
        explained = get_kind(task.target(name)).get_shared_notes(task.target(name)) if name else {}
        # Intervals of several baselines do not fit on the page.
        format_baseline = (
            format_score if len(scores_by_baseline) < 2 and not compact else format_value
        )
        rows = [
            [
                get_label(s.name) if compact else _add_note(s, explained),
                format_score(s),
                *(
                    format_baseline(o[s.name]) if s.name in o else "–"
                    for o in scores_by_baseline.values()
                ),
            ]
            for s in target_scores
            if not split_class_score(s.name)[0]
        ]
        first = target_scores[0]
        excluded = f", {first.n_excluded:,} excluded: {first.reason}" if first.n_excluded else ""
        caption = f"{name or 'All targets together'}: {first.n_used:,} objects{excluded}"
        tables.append(Table(["Score", "Model", *scores_by_baseline], rows, caption, numeric=True))
        tables += [] if compact else _class_tables(name, target_scores)
    return tables


def _grouped_table(task: Task, scores: Sequence[Score], show: Callable[[Score], str]) -> Table:
    names = list_grouped_targets(task)
    columns = get_kind(task.target(names[0])).GROUP_SCORES
    by_name = {(s.target, s.name): s for s in scores}
    rows = [
        [name, *(show(by_name[name, c]) if (name, c) in by_name else "–" for c in columns)]
        for name in names
    ]
    least = min((s.n_used for s in scores if s.target in names), default=0)
    caption = f"Each question by itself: at least {least:,} objects"
    return Table(["", *map(get_label, columns)], rows, caption, numeric=True)


def _class_tables(target: str, scores: Sequence[Score]) -> list[Table]:
    by_class = {split_class_score(s.name): s for s in scores if split_class_score(s.name)[0]}
    if not by_class:
        return []
    kinds = list(dict.fromkeys(kind for kind, _ in by_class))
    notes: dict[str, str] = {}
    for (_, name), s in by_class.items():
        notes[name] = notes.get(name) or s.note
    rows = [
        [
            f"{name}\n{note}" if note else name,
            *(format_score(by_class[k, name]) if (k, name) in by_class else "–" for k in kinds),
        ]
        for name, note in notes.items()
    ]
    columns = ["Class", *(get_class_labels()[kind].label for kind in kinds)]
    return [Table(columns, rows, f"{target}: single classes", numeric=True)]


def _add_note(score: Score, explained: Mapping[str, str]) -> str:
    """Label of a score, and below it its notes that the text does not explain."""
    notes = [part for part in score.note.split("; ") if part and part not in explained]
    return "\n".join([get_label(score.name), *(["; ".join(notes)] if notes else [])])


def scores_chapter(
    task: Task,
    scores: Sequence[Score],
    baselines: Mapping[str, Sequence[Score]] | None = None,
    *,
    descriptions: Mapping[str, str] | None = None,
    times_scored: int | None = None,
) -> Chapter:
    """The tables of `score_tables` with their explanation.

    Parameters
    ----------
    task, scores, baselines
        As for `score_tables`.
    descriptions : mapping of str to str, optional
        Description of each baseline.
    times_scored : int, optional
        Number of times this test split has been scored, as recorded in the run directory.
    """
    text = [
        "Brackets hold 95 % intervals: percentiles of bootstrap resamples of the objects, unless "
        "a note says otherwise."
    ]
    if times_scored is not None:
        times = {1: "once", 2: "twice"}.get(times_scored, f"{times_scored} times")
        text.append(
            f"The test split has been scored {times}. Every choice made after looking at its "
            "scores makes them slightly optimistic."
        )
    text += [f"{name}: {sentence}." for name, sentence in (descriptions or {}).items()]
    for target in task.targets:
        text += get_kind(target).get_shared_notes(target).values()
    return Chapter(
        "Scores", list(dict.fromkeys(text)), tables=score_tables(task, scores, baselines)
    )


def figure_chapters(
    task: Task,
    evaluations: Sequence[TargetEvaluation],
    *,
    by: Mapping[str, Any] | None = None,
) -> list[Chapter]:
    """The figures of every target, in the chapters that its kind declares.

    Parameters
    ----------
    task : Task
        The task of the model.
    evaluations : sequence of TargetEvaluation
        As `astrocnn.evaluation.evaluate` returns them.
    by : mapping of str to array_like of shape (n,), optional
        Columns of the catalogue along which errors are shown, by label of the axis.
    """
    grouped = list_grouped_targets(task)
    text: dict[str, list[str]] = {}
    pictures: dict[str, list[Picture]] = {}
    for e in evaluations:
        for section, sentences in e.get_sections(e.target).items():
            text.setdefault(section, []).extend(sentences)
            pictures.setdefault(section, [])
        if e.target.name not in grouped:
            for name, (spec, figure) in e.plot_figures(by).items():
                pictures[spec.section].append(_make_picture(e.target.name, name, spec, figure))
    for kind in dict.fromkeys(type(e) for e in evaluations):
        group = [e for e in evaluations if type(e) is kind]
        for name, (spec, figure) in kind.plot_joint_figures(group).items():
            pictures[spec.section].append(_make_picture("all questions", name, spec, figure))
    n_draws = max((len(e.samples) for e in evaluations), default=0)
    text.setdefault("Uncertainty", []).append(
        "Predicted with a single deterministic pass, so the epistemic uncertainty is unknown."
        if n_draws == 1
        else f"Predicted with {n_draws} draws, from Monte-Carlo dropout, an ensemble, or both."
    )
    # Chapters shared by several kinds follow those of one kind.
    order = sorted(text, key=lambda section: section in ("Uncertainty", "Objects"))
    return [
        Chapter(section, list(dict.fromkeys(text[section])), pictures.get(section, []))
        for section in order
        if text[section] or pictures.get(section)
    ]


def _make_picture(target: str, name: str, spec: FigureSpec, figure: Any) -> Picture:
    caption = f"{target}: {spec.caption}"
    return Picture(figure, caption, f"{name.replace('_', ' ')} of {target}. {caption}")


def gallery_chapter(
    task: Task,
    evaluations: Sequence[TargetEvaluation],
    read_images: Callable[[NDArray[np.intp]], NDArray[Any]],
    *,
    pixel_scale: float | None = None,
    bands: Sequence[int] | None = None,
    ids: Sequence[Any] | None = None,
    count: int = 12,
) -> Chapter | None:
    """Stamps of the most certain and most uncertain objects of each target, and of its errors.

    Parameters
    ----------
    task, evaluations
        As for `figure_chapters`.
    read_images : callable
        Returns images of shape (k, height, width, n_bands) of k rows, NaN where there is no data.
    pixel_scale : float, optional
        [arcsec/pixel]
    bands : sequence of int, optional
        One band, or three for red, green and blue.
    ids : sequence, optional
        Identifier of each row, printed above its stamp.
    count : int
        Stamps per gallery.

    Returns
    -------
    Chapter or None
        None where objects have no images.
    """
    pictures: list[Picture] = []
    text: list[str] = []
    grouped = list_grouped_targets(task)
    for e in evaluations:
        if e.target.name in grouped:
            continue
        stamps_by_kind = {kind: stamps for kind, stamps in e.stamps(count).items() if stamps}
        images = {
            kind: np.asarray(read_images(np.array([s.row for s in stamps])))
            for kind, stamps in stamps_by_kind.items()
        }
        if not any(array.size for array in images.values()):
            continue
        text.append(e.get_gallery_text(e.target))
        levels = compute_band_levels(np.concatenate(list(images.values()))).tolist()
        for kind, stamps in stamps_by_kind.items():
            figure = plot_gallery(
                images[kind],
                stamps,
                pixel_scale=pixel_scale,
                bands=bands,
                levels=levels,
                labels=None if ids is None else [str(ids[s.row]) for s in stamps],
            )
            listed = ", ".join(
                f"{s.label or 'unlabelled'} predicted as {s.predicted}" for s in stamps
            )
            caption = f"{e.target.name}: {kind}."
            pictures.append(Picture(figure, caption, f"{caption} {listed}", raster=True))
    return Chapter("Galleries", list(dict.fromkeys(text)), pictures) if pictures else None


# Calibration


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
        The task of the model.
    remaps : mapping of str to Remap
        Fitted remap of each calibrated target.
    encoded, weights, samples : mapping of str to ndarray
        Those of the validation split.
    seed : int
        Seed of the division into halves.

    Returns
    -------
    dict of str to pair of ndarray
        `TargetEvaluation.calibration_data` of the other half before and after, by target.
    """
    compared: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]] = {}
    for target in task.targets:
        name, family = target.name, target.family
        if name not in remaps:
            continue
        data = encoded[name], weights[name], samples[name]
        rows, remapped_samples = remap_held_out(type(remaps[name]), family, *data, seed=seed)
        labels = encoded[name][rows], weights[name][rows]
        remapped = replace(target, family=remaps[name].family(family))
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
    note: str = "",
) -> Chapter:
    """Scores and figures before and after a calibration.

    Parameters
    ----------
    rows : sequence of mapping
        As `astrocnn.calibration.Calibration.table`.
    compared : mapping of str to pair of ndarray
        `TargetEvaluation.calibration_data` before and after, of the same objects, by target.
    note : str
        Other fits on these objects, a selection for instance.
    """
    text = [
        "Cross-fitted: fitted on one half of the validation split, scored on the other; the "
        "calibration applied to predictions is fitted on both. The test split is not used."
    ]
    text += [f"{note[0].upper()}{note[1:]}."] if note else []
    pictures = []
    for name, (before, after) in compared.items():
        if len(before) == 2:
            figure = figures.plot_reliability(
                {"before": (before[0], before[1]), "after": (after[0], after[1])}, n_bins=12
            )
            pictures.append(
                Picture(
                    figure,
                    f"{name}: reliability diagram before and after temperature scaling. A "
                    "calibrated model follows the diagonal; bars are 95 % Wilson intervals.",
                )
            )
        else:
            values = {"before": before[0], "after": after[0]}
            for figure, label in (
                (figures.plot_pit_histogram(values), "histogram of the PIT"),
                (figures.plot_qq(values), "Q-Q plot of the PIT"),
            ):
                caption = f"{name}: {label} before and after recalibration. Gray: expected scatter "
                pictures.append(Picture(figure, f"{caption}of a calibrated model."))
    return Chapter("Calibration", text, pictures, [calibration_table(rows)] if rows else [])


# Selection


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
    task : Task
        The task of the model.
    encoded, weights, samples : mapping of str to ndarray
        Those of the test split, as for `astrocnn.evaluation.score`.
    """
    expected, achieved = selection.achieved, selection.judge(task, encoded, weights, samples)
    rows = [
        [label, _format_rate(expected[key]), _format_rate(achieved[key])]
        for key, label in _RATES.items()
        if key in achieved
    ]
    columns = ["", "validation split", "test split"]
    tables = [Table(columns, rows, "Selected objects", numeric=True)]
    reasons = _build_reason_rows(selection, task, encoded, weights, samples)
    if reasons:
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
