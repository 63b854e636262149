"""Chapters of a report on predictions: scores, figures and galleries.

Tables and figures are those that the kind of each target declares (`astrocnn.evaluation.kinds`);
nothing here depends on which kind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.evaluation.kinds import FigureSpec, TargetEvaluation, get_kind
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
    "catalogs_chapter",
    "figure_chapters",
    "gallery_chapter",
    "list_grouped_targets",
    "make_headline",
    "score_tables",
    "scores_chapter",
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
        target_scores = [s for s in scores if s.target == name]
        if name in grouped[:1]:
            tables.append(_grouped_table(task, scores, format_value if compact else format_score))
        if name in grouped or not target_scores:
            continue
        others = {
            label: {s.name: s for s in scored if s.target == name}
            for label, scored in (baselines or {}).items()
        }
        others = {label: by_name for label, by_name in others.items() if by_name}
        explained = get_kind(task.target(name)).get_shared_notes(task.target(name)) if name else {}
        # Intervals of several baselines do not fit on the page.
        short = format_score if len(others) < 2 and not compact else format_value
        rows = [
            [
                get_label(s.name) if compact else _add_note(s, explained),
                format_score(s),
                *(_format_cell(by_name, s.name, short) for by_name in others.values()),
            ]
            for s in target_scores
            if not split_class_score(s.name)[0]
        ]
        first = target_scores[0]
        excluded = f", {first.n_excluded:,} excluded: {first.reason}" if first.n_excluded else ""
        caption = f"{name or 'All targets together'}: {first.n_used:,} objects{excluded}"
        tables.append(Table(["Score", "Model", *others], rows, caption, numeric=True))
        tables += [] if compact else _class_tables(name, target_scores)
    return tables


def _format_cell(
    scores: Mapping[Any, Score], key: Any, show: Callable[[Score], str] = format_score
) -> str:
    return show(scores[key]) if key in scores else "–"


def _grouped_table(task: Task, scores: Sequence[Score], show: Callable[[Score], str]) -> Table:
    names = list_grouped_targets(task)
    columns = get_kind(task.target(names[0])).GROUP_SCORES
    by_name = {(s.target, s.name): s for s in scores}
    rows = [[name, *(_format_cell(by_name, (name, c), show) for c in columns)] for name in names]
    least = min((s.n_used for s in scores if s.target in names), default=0)
    caption = f"Each question by itself: at least {least:,} objects"
    return Table(["", *map(get_label, columns)], rows, caption, numeric=True)


def _class_tables(target: str, scores: Sequence[Score]) -> list[Table]:
    by_class = {split_class_score(s.name): s for s in scores if split_class_score(s.name)[0]}
    kinds = list(dict.fromkeys(kind for kind, _ in by_class))
    notes: dict[str, str] = {}
    for (_, name), s in by_class.items():
        notes[name] = notes.get(name) or s.note
    rows = [
        ["\n".join(filter(None, (name, note))), *(_format_cell(by_class, (k, name)) for k in kinds)]
        for name, note in notes.items()
    ]
    columns = ["Class", *(get_class_labels()[kind].label for kind in kinds)]
    return [Table(columns, rows, f"{target}: single classes", numeric=True)] if rows else []


def _add_note(score: Score, explained: Mapping[str, str]) -> str:
    """Label of a score, and below it its notes that the text does not explain."""
    note = "; ".join(part for part in score.note.split("; ") if part not in explained)
    return "\n".join(filter(None, (get_label(score.name), note)))


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


def catalogs_chapter(
    task: Task,
    stored: Sequence[tuple[Sequence[Score], Mapping[str, Sequence[Score]], Mapping[str, Any]]],
    model: str,
) -> Chapter | None:
    """Scores of other catalogues; None if there are none.

    Parameters
    ----------
    task : Task
    stored : sequence of tuple
        What `astrocnn.evaluation.read_scores` returns for each catalogue.
    model : str
        Fingerprint of the estimator: scores of an earlier one are marked.
    """
    text = [
        "Objects that the run was not trained on; the baselines are fitted on its training split."
    ]
    tables = []
    for scores, baselines, about in stored:
        text.append(
            f"{about['split']}: number of scorings {about['times_scored']}"
            + ("" if about["model"] == model else ", with an earlier model")
            + "."
        )
        name = PurePath(about["split"]).name
        tables += [
            replace(table, caption=f"{name}, {table.caption}")
            for table in score_tables(task, scores, baselines, compact=True)
        ]
    return Chapter("Other catalogues", text, tables=tables) if tables else None


def figure_chapters(
    task: Task, evaluations: Sequence[TargetEvaluation], *, by: Mapping[str, Any] | None = None
) -> list[Chapter]:
    """The figures of every target, in the chapters that its kind declares.

    Parameters
    ----------
    task : Task
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
        else f"Predicted with {n_draws} draws of the network."
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
    ids: Sequence[Any] | None = None,
    count: int = 12,
) -> Chapter | None:
    """Stamps of certain and uncertain objects and of errors; None where there are no images.

    Parameters
    ----------
    task, evaluations
        As for `figure_chapters`.
    read_images : callable
        Returns images of shape (k, height, width, n_bands) of k rows, NaN where there is no data.
    pixel_scale : float, optional
        [arcsec/pixel]
    ids : sequence, optional
        Identifier of each row, printed above its stamp.
    count : int
        Stamps per gallery.

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
                levels=levels,
                labels=None if ids is None else [str(ids[s.row]) for s in stamps],
            )
            listed = ", ".join(
                f"{s.label or 'unlabelled'} predicted as {s.predicted}" for s in stamps
            )
            caption = f"{e.target.name}: {kind}."
            pictures.append(Picture(figure, caption, f"{caption} {listed}", raster=True))
    return Chapter("Galleries", list(dict.fromkeys(text)), pictures) if pictures else None
