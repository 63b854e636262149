"""The chapters of a report on what was predicted, from plain arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.evaluation.scores import headline as find_headline
from astrocnn.metrics import Score
from astrocnn.report.gallery import compute_band_levels, plot_gallery
from astrocnn.report.labels import (
    class_of,
    interval_of,
    is_of_class,
    kinds_of_class,
    name_of,
    value_of,
)
from astrocnn.report.page import Chapter, Headline, Picture, Table
from astrocnn.targets import Target, Task

__all__ = [
    "crowd_of",
    "figure_chapters",
    "gallery_chapter",
    "headline_of",
    "scores_chapter",
    "side_by_side",
]

_FEW = 3
"""Questions beside the headline's that have tables, figures and galleries of their own."""


def headline_of(
    task: Task, scores: Sequence[Score], baselines: Mapping[str, Sequence[Score]] | None = None
) -> Headline:
    """The headline score of a task beside that of each baseline."""
    first = find_headline(task, scores)
    beside = []
    for name, found in (baselines or {}).items():
        for other in found:
            if (other.target, other.name) == (first.target, first.name):
                beside.append((name, value_of(other), interval_of(other)))
    excluded = f"; {first.n_excluded} left out ({first.reason})" if first.n_excluded else ""
    note = f"; {first.note}" if first.note else ""
    sentence = f"On {first.n_used:,} objects of the test split{excluded}{note}."
    interval = (
        f"{100 * first.level:g} % interval {interval_of(first)}" if interval_of(first) else ""
    )
    name = f"{name_of(first.name)}, {first.target}"
    return Headline(name, value_of(first), interval, beside, sentence)


def scores_chapter(
    task: Task,
    scores: Sequence[Score],
    baselines: Mapping[str, Sequence[Score]] | None = None,
    *,
    sentences: Mapping[str, str] | None = None,
    times_scored: int | None = None,
) -> Chapter:
    """All scores with their intervals, beside those of the baselines.

    Parameters
    ----------
    task : Task
        What was predicted.
    scores : sequence of Score
        Of the network.
    baselines : mapping of str to sequence of Score, optional
        Of each baseline, by its name.
    sentences : mapping of str to str, optional
        What each baseline does.
    times_scored : int, optional
        How often this test split has been scored, as the run directory counted.
    """
    baselines = baselines or {}
    text = [
        "Brackets hold 95 % intervals: percentiles of bootstrap resamples of the objects, unless a "
        "remark names another."
    ]
    if times_scored is not None:
        times = "once" if times_scored == 1 else f"{times_scored} times"
        text.append(
            f"The test split has been scored {times}. Every choice made after looking at it makes "
            "these numbers a little too good."
        )
    text += [f"{name}: {sentence}." for name, sentence in (sentences or {}).items()]
    tables = []
    crowd = crowd_of(task)
    for target in [*task.targets, None]:
        name = "" if target is None else target.name
        mine = [s for s in scores if s.target == name]
        if name in crowd[:1]:
            tables.append(side_by_side(task, scores, _cell))
        if not mine or name in crowd:
            continue
        general = [s for s in mine if not is_of_class(s.name)]
        others = {
            label: {s.name: s for s in found if s.target == name}
            for label, found in baselines.items()
            if any(s.target == name for s in found)
        }
        said = {} if target is None else getattr(_chapter(target), "SAID", {})
        text += [line for line in said.values() if line not in text]
        # Where several baselines stand beside the network, their intervals would crowd the page.
        cell = _cell if len(others) < 2 else value_of
        rows = [
            [
                _noted(s, said),
                _cell(s),
                *(cell(found[s.name]) if s.name in found else "–" for found in others.values()),
            ]
            for s in general
        ]
        first = mine[0]
        excluded = f", {first.n_excluded:,} left out: {first.reason}" if first.n_excluded else ""
        tables.append(
            Table(
                ["Score", "Model", *others],
                rows,
                f"{name or 'All targets together'}: {first.n_used:,} objects{excluded}",
            )
        )
        tables += _by_class(name, mine)
    return Chapter("Scores", text, tables=tables)


def figure_chapters(
    task: Task,
    encoded: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    samples: Mapping[str, NDArray[Any]],
    *,
    by: Mapping[str, Any] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> list[Chapter]:
    """The figures of every target, in the sections that its chapter asks for.

    Of many yes/no questions only that of the headline has figures of its own.

    Parameters
    ----------
    task, encoded, weights, samples
        As in `astrocnn.evaluation.score`.
    by : mapping of str to array_like of shape (n,), optional
        Columns along which to show errors, by their name on the axis: magnitudes, for instance.
    thresholds : mapping of str to float, optional
        Probability from which on objects are selected, by target.
    """
    crowd, thresholds = crowd_of(task), thresholds or {}
    pictures: dict[str, list[Picture]] = {}
    text: dict[str, list[str]] = {}
    for target in task.targets:
        name = target.name
        chapter = _chapter(target)
        for section, sentences in chapter.TEXT.items():
            lines = text.setdefault(section, [])
            lines += [line for line in sentences if line not in lines]
            pictures.setdefault(section, [])
        if name in crowd:
            continue
        cut = {"threshold": thresholds[name]} if name in thresholds else {}
        drawn = chapter.figures(target, encoded[name], weights[name], samples[name], by, **cut)
        usual = next(iter(chapter.TEXT))
        for kind, figure in drawn.items():
            along = chapter.BY.format(kind.partition("_by_")[2])
            section, words = chapter.CAPTIONS.get(kind, (usual, along))
            pictures[section].append(_picture(figure, kind, name, words))
    for chapter in dict.fromkeys(_chapter(target) for target in task.targets):
        parts = [
            (t, encoded[t.name], weights[t.name], samples[t.name])
            for t in task.targets
            if _chapter(t) is chapter
        ]
        drawn = chapter.together(parts) if hasattr(chapter, "together") else {}
        for kind, figure in drawn.items():
            section, words = chapter.CAPTIONS[kind]
            pictures[section].append(_picture(figure, kind, "all questions", words))
    n_draws = max((len(np.asarray(s)) for s in samples.values()), default=0)
    if n_draws == 1:
        said = "Predicted with one deterministic pass: nothing is known about the weights."
    else:
        said = f"Predicted with {n_draws} draws: Monte-Carlo dropout, an ensemble, or both."
    text.setdefault("Uncertainty", []).append(said)
    # Sections that several kinds of quantities share come after those of one kind.
    order = sorted(text, key=lambda section: section in ("Uncertainty", "Objects"))
    return [
        Chapter(section, text[section], pictures.get(section, []))
        for section in order
        if text[section] or pictures.get(section)
    ]


def _picture(figure: Any, kind: str, name: str, words: str) -> Picture:
    caption = f"{name}: {words}"
    alt = f"{kind.replace('_', ' ')} of {name}. {caption}"
    return Picture(figure, caption, alt=alt)


def crowd_of(task: Task) -> list[str]:
    """Targets beside that of the headline that are told of together, because they are many.

    Parameters
    ----------
    task : Task
        Whose yes/no questions are counted.

    Returns
    -------
    list of str
        Empty where there are few.
    """
    first = task.headline.partition(".")[0]
    alike = [t.name for t in task.targets if t.name != first and _is_question(t)]
    return alike if len(alike) > _FEW else []


def _is_question(target: Target) -> bool:
    return target.family.units == 1 and hasattr(_chapter(target), "together")


def gallery_chapter(
    task: Task,
    encoded: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
    samples: Mapping[str, NDArray[Any]],
    read: Callable[[NDArray[np.intp]], NDArray[Any]],
    *,
    pixel_scale: float | None = None,
    bands: Sequence[int] | None = None,
    ids: Sequence[Any] | None = None,
    count: int = 12,
) -> Chapter | None:
    """Stamps of the most certain, most uncertain and most wrong objects of each target.

    There is no such chapter where objects have no images.

    Parameters
    ----------
    task, encoded, weights, samples
        As in `astrocnn.evaluation.score`.
    read : callable
        Images of shape (k, height, width, n_bands) of k rows, NaN where there is no data.
    pixel_scale : float, optional
        [arcsec/pixel]
    bands : sequence of int, optional
        One band, or three for red, green and blue.
    ids : sequence, optional
        Identifier of each row, printed above its stamp.
    count : int
        Stamps in each gallery.
    """
    pictures = []
    text: list[str] = []
    crowd = crowd_of(task)
    for target in task.targets:
        name = target.name
        chapter = _chapter(target)
        if name in crowd:
            continue
        picked = chapter.stamps(target, encoded[name], weights[name], samples[name], count)
        picked = {kind: stamps for kind, stamps in picked.items() if stamps}
        images = {
            kind: np.asarray(read(np.array([s.row for s in stamps])))
            for kind, stamps in picked.items()
        }
        if not any(found.size for found in images.values()):
            continue
        if chapter.GALLERY not in text:
            text.append(chapter.GALLERY)
        levels = compute_band_levels(np.concatenate(list(images.values()))).tolist()
        for kind, stamps in picked.items():
            labels = None if ids is None else [str(ids[s.row]) for s in stamps]
            figure = plot_gallery(
                images[kind],
                stamps,
                pixel_scale=pixel_scale,
                bands=bands,
                levels=levels,
                labels=labels,
            )
            seen = ", ".join(f"{s.label or 'no label'} called {s.predicted}" for s in stamps)
            caption = f"{name}: the {kind}."
            pictures.append(Picture(figure, caption, f"{caption} {seen}", raster=True))
    return Chapter("Galleries", text, pictures) if pictures else None


def _cell(score: Score) -> str:
    return f"{value_of(score)}\u00a0{interval_of(score)}".rstrip()


def _noted(score: Score, said: Mapping[str, str]) -> str:
    """Name of a score, and below it what must be known of it unless the text said it."""
    parts = [part for part in score.note.split("; ") if part and part not in said]
    return "\n".join([name_of(score.name), *(["; ".join(parts)] if parts else [])])


def _chapter(target: Target) -> ModuleType:
    return plugins.load_module("astrocnn.evaluation.chapters", target.family.chapter)


def side_by_side(
    task: Task, scores: Sequence[Score], cell: Callable[[Score], str] = value_of
) -> Table:
    """One row for each of the questions that are told of together.

    Parameters
    ----------
    task : Task
        With many questions.
    scores : sequence of Score
        Of all its targets.
    cell : callable
        Writes one score.

    Returns
    -------
    Table
    """
    targets = [task.target(name) for name in crowd_of(task)]
    kinds = _chapter(targets[0]).TOGETHER
    found = {(s.target, s.name): s for s in scores}
    rows = [
        [t.name, *(cell(s) if (s := found.get((t.name, kind))) else "–" for kind in kinds)]
        for t in targets
    ]
    used = [s.n_used for s in scores if s.target in {t.name for t in targets}]
    caption = f"Each question by itself: {min(used, default=0):,} objects or more"
    return Table(["", *(name_of(kind) for kind in kinds)], rows, caption)


def _by_class(target: str, scores: Sequence[Score]) -> list[Table]:
    found = {class_of(s.name): s for s in scores if is_of_class(s.name)}
    if not found:
        return []
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    notes: dict[str, str] = {}
    for (_, of), s in found.items():
        notes[of] = notes.get(of) or s.note
    rows = [
        [of, *(_cell(s) if (s := found.get((kind, of))) else "–" for kind in kinds), note]
        for of, note in notes.items()
    ]
    names = kinds_of_class()
    columns = ["", *(names[kind] for kind in kinds), ""]
    return [Table(columns, rows, f"{target}: one by one")]
