"""``astrocnn report``: an HTML report from the files of a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn import __version__, calibration
from astrocnn.atomic import sha256
from astrocnn.backend import load_tensorflow
from astrocnn.calibration.selection import Selection
from astrocnn.catalog import SPLITS, write_coverage
from astrocnn.datasets import Shards, read_labels
from astrocnn.errors import CatalogError, MissingDependency
from astrocnn.evaluation import evaluate, read_scores
from astrocnn.evaluation.calibration_chapters import calibration_chapter, selection_chapter
from astrocnn.evaluation.provenance_chapter import (
    data_chapter,
    model_chapter,
    provenance_chapter,
    training_chapter,
)
from astrocnn.evaluation.report_chapters import (
    catalogs_chapter,
    figure_chapters,
    gallery_chapter,
    make_headline,
    scores_chapter,
)
from astrocnn.explain.attribution import MAX_NAMED_SCALARS
from astrocnn.explain.chapters import build_chapters
from astrocnn.explain.explained_network import innermost
from astrocnn.explain.files import read_explanation
from astrocnn.report import Chapter, write_report
from astrocnn.runs.directory import Environment, RunDirectory
from astrocnn.runs.run import Run
from astrocnn.targets import Task

__all__ = ["inside_chapters", "run", "write"]


def run(folder: Path) -> Iterator[str]:
    """Write ``report.html`` of a run directory without scoring again.

    Raises
    ------
    ConfigError
        If the run has not been trained and evaluated, or a file of its folder is damaged.
    """
    yield from write(Run.open(folder))


def write(current: Run, *, inside: Sequence[Chapter] | None = None) -> Iterator[str]:
    """Write ``report.html`` without scoring again.

    Parameters
    ----------
    current : Run
        With its directory.
    inside : sequence of Chapter, optional
        On the inside of the network; by default from what 'explain' left.

    Raises
    ------
    ConfigError
        If the run has not been trained and evaluated, or a file of its folder is damaged.
    """
    config, home, shards = current.config, current.directory, current.shards
    home.require(home.model, "train")
    with home.reading(home.scores, "evaluate") as path:
        scores, baselines, about = read_scores(path)

    load_tensorflow()
    estimator, extras = current.estimator, current.extras
    task = estimator.task
    test, samples = home.kept_draws(task.names)
    if inside is None:
        inside = inside_chapters(home, shards, innermost(estimator).fingerprint)
    if inside is None:
        yield "the explanations are of another network: run 'astrocnn explain' again"
    training = _training(current)
    provenance = _provenance(home, about)
    encoded, weights = read_labels(shards, task, test)
    selections = [extra for extra in extras if isinstance(extra, Selection)]
    thresholds = {selection.target: selection.threshold for selection in selections}
    evaluations = evaluate(task, encoded, weights, samples, thresholds=thresholds)
    chapters = [
        scores_chapter(
            task,
            scores,
            baselines,
            descriptions=about["baseline_descriptions"],
            times_scored=about["times_scored"],
        ),
        catalogs_chapter(
            task, [read_scores(file) for file in home.other_scores()], estimator.fingerprint
        ),
        *(
            selection_chapter(selection, task, encoded, weights, samples)
            for selection in selections
        ),
        *figure_chapters(task, evaluations, by=_by(current, test)),
        gallery_chapter(
            task,
            evaluations,
            lambda rows: shards.images(test[rows]),
            pixel_scale=shards.pixel_scale,
            ids=shards.ids[test],
        ),
        *(inside or ()),
        _calibration(home),
        _data(current, task, about.get("novel"), len(test)),
        training,
        _model(estimator),
        provenance,
    ]
    write_report(
        home.report,
        title=config.title,
        subtitle=f"{task.name}: {', '.join(task.names)}",
        chapters=[chapter for chapter in chapters if chapter is not None],
        headline=make_headline(task, scores, baselines),
        footer=f"astrocnn {__version__}",
    )
    yield f"report: {home.report}"


def inside_chapters(home: RunDirectory, shards: Shards, network: str) -> list[Chapter] | None:
    """Chapters of the last 'explain', or None if it was of another network."""
    if not home.explanations.is_dir():
        return []
    with home.reading(home.explanations, "explain") as path:
        explanation = read_explanation(
            path,
            pixel_scale=shards.pixel_scale,
            images=shards.images if shards.bands else None,
        )
    return build_chapters(explanation) if explanation.cards.get("NETSHA") == network else None


def _by(current: Run, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Columns along which errors are shown, by label of their axis; NaN where missing."""
    values = {}
    shards = current.shards
    for name in current.config.evaluation.by:
        unit = shards.objects[name].unit
        label = f"{name} [{unit}]" if unit else name
        values[label] = current.read_numbers(name, rows)
    return values


def _cover(current: Run, ra: np.ndarray, dec: np.ndarray) -> str:
    """Write the map of the covered sky, and describe it."""
    out = current.directory.coverage
    try:
        area = write_coverage(out, ra, dec)
    except (CatalogError, MissingDependency) as error:
        return f"no map: {error.what}"
    return f"{area:.3g} square degrees in cells of 3.4 arcmin with objects; {out.name} (MOC)"


def _data(current: Run, task: Task, novel: object, n_test: int) -> Chapter:
    config, shards, rows = current.config, current.shards, current.rows
    tallies = {name: task.tally(*read_labels(shards, task, rows[name])) for name in SPLITS}
    number = current.shard_splits
    counts = {name: int(np.sum(number == i)) for i, name in enumerate(SPLITS)}
    facts = {"Catalogue": ", ".join(config.catalog.files)}
    if shards.bands:
        scale = "unknown" if shards.pixel_scale is None else f"{shards.pixel_scale:.4g} arcsec"
        facts |= {
            "Survey": (config.survey or {}).get("name", "none"),
            "Bands": ", ".join(shards.bands),
            "Stamp": f"{shards.size} x {shards.size} pixels of {scale}",
            "Unit": shards.unit or "as in the files",
        }
    if (placed := shards.catalog).ra is not None and placed.dec is not None:
        facts["Coverage"] = _cover(current, placed.ra, placed.dec)
    facts["Split by"] = config.split.by
    if config.split.files is not None:
        facts["Split of the files"] = ", ".join(config.split.files)
    if novel is not None:
        facts["Novel test objects"] = f"{novel} of {n_test}, flagged by the score of novelty"
    return data_chapter(splits=tallies, rows=counts, flags=shards.flags, facts=facts)


def _calibration(home: RunDirectory) -> Chapter | None:
    if not (home.calibration.is_file() and home.judged.is_file()):
        return None
    made = calibration.read(home.calibration)
    kept = home.read_arrays(home.judged, "calibrate")
    with home.reading(home.judged, "calibrate"):
        tables = {
            name: (kept[f"before/{name}"], kept[f"after/{name}"])
            for name in (key.partition("/")[2] for key in kept if key.startswith("before/"))
        }
    summaries = [extra.summary for extra in made.extras if hasattr(extra, "summary")]
    return calibration_chapter(made.table, tables, [*summaries, *made.notes])


def _training(current: Run) -> Chapter | None:
    home = current.directory
    history = home.curves()
    if not history:
        return None
    facts = {}
    weights, section = current.config.model.weights, current.config.training
    if weights is not None:
        facts["Initial weights"] = weights
        facts["Recipe"] = section.recipe
        later = f"at {section.body_rate:g} of the rate"
        facts["Layers before the heads"] = {
            "probe": "frozen",
            "finetune": later,
            "probe-then-finetune": f"frozen for {section.frozen_epochs} epochs, then {later}",
        }[section.recipe]
    with home.reading(home.history, "train"):
        return training_chapter(history, facts=facts)


def _model(estimator: Any) -> Chapter:
    inputs = estimator.inputs
    facts = dict(estimator.facts)
    if inputs.bands:
        facts["Input"] = " x ".join(str(n) for n in inputs.shape)
        facts["Normalization"] = inputs.normalization.stretch
    if names := inputs.scalars:
        many = f"{len(names)}, {names[0]} to {names[-1]}"
        facts["Scalars"] = ", ".join(names) if len(names) <= MAX_NAMED_SCALARS else many
    layers = [
        (layer.name, type(layer).__name__, _shape(layer), layer.count_params())
        for layer in _network(estimator)
    ]
    return model_chapter(facts=facts, layers=layers)


def _network(estimator: Any) -> list[Any]:
    """Layers of the underlying network; empty for other estimators."""
    model = innermost(estimator)
    return model.model_.layers if hasattr(model, "model_") else []


def _shape(layer: Any) -> str:
    shape = getattr(layer.output, "shape", None)
    return "" if shape is None else " x ".join(str(n) for n in shape[1:])


def _provenance(home: RunDirectory, about: dict[str, Any]) -> Chapter:
    environment = home.read_json(home.path / "environment.json", Environment, "train")
    facts = {
        "Run file": f"SHA-256 {sha256(home.config_file)}",
        "Model": f"SHA-256 {about['model']}",
        "Calibrated": "yes" if about["calibrated"] else "no",
        "Draws": about["draws"],
        "Views": about["views"],
        "Python": environment.python,
        **{name: version for name, version in environment.packages.items() if version},
        "Platform": environment.platform,
    }
    return provenance_chapter(facts)
