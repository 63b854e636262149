"""``astrocnn explain``: attribution maps, their checks, and model inspection."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import __version__
from astrocnn.atomic import replacing_folder, sha256, write_bytes
from astrocnn.backend import load_tensorflow
from astrocnn.catalog import Catalog
from astrocnn.datasets import find_usable_rows
from astrocnn.errors import AstrocnnError, ConfigError, PredictionError
from astrocnn.evaluation import read_scores
from astrocnn.explain.attribution import (
    CHECKS,
    Attribution,
    ExplainedObjects,
    Explanation,
    compute_attribution,
)
from astrocnn.explain.explained_network import ExplainedNetwork, Inspection
from astrocnn.explain.files import write_explanation
from astrocnn.explain.methods import select_methods
from astrocnn.explain.predictions import (
    RunPredictions,
    select_by_id,
    select_most_uncertain,
    select_per_class,
)
from astrocnn.explain.target import ExplainTarget
from astrocnn.imaging import get_cutout_wcs, open_source
from astrocnn.models.monte_carlo_dropout import build_sampler
from astrocnn.progress import track
from astrocnn.report import Chapter
from astrocnn.report.style import render_png
from astrocnn.runs.run import Run
from astrocnn.runs.verbs import report

__all__ = ["PER_CLASS", "run"]

PER_CLASS = 2
"""Objects of each predicted class by default."""

_POINTS = 1000
"""Objects of the test split by which the network as a whole is inspected, at most."""

Rows = NDArray[np.int64]


def run(
    folder: Path,
    *,
    objects: Sequence[str] = (),
    most_uncertain: int | None = None,
    per_class: int | None = None,
    methods: Sequence[str] = (),
    targets: Sequence[str] = (),
    of: str | None = None,
    square: int | None = None,
    uncertainty: bool = False,
    checks: bool = True,
) -> Iterator[str]:
    """Explain the network of a run; write ``explanations/``, figures and the report.

    Parameters
    ----------
    folder : Path
        The run directory.
    objects : sequence of str
        Identifiers of the objects to explain.
    most_uncertain : int, optional
        Instead, so many of the test split with the most uncertain predictions.
    per_class : int, optional
        Instead, so many of each predicted class of the test split; of a quantity in each fifth of
        the objects ordered by the predicted value.
    methods : sequence of str
        By name; those declared as default by default.
    targets : sequence of str
        Of the task; that of the headline by default.
    of : str, optional
        The number that is explained, in place of the predicted class and the mean: see
        `astrocnn.explain.ExplainTarget.parse`.
    square : int, optional
        Side of the square by which occlusion hides parts of the image [pixel].
    uncertainty : bool
        Also explain the epistemic uncertainty.
    checks : bool
        Whether maps are checked, which takes most of the time.

    Raises
    ------
    ConfigError
        If there is no such method or target, objects are selected twice, or one number is to be
        explained of several targets.
    ModelError
        If there is no network, no such number, or the square is larger than the image.
    CatalogError
        If an object is not in the catalogue.
    PredictionError
        If an object has no image, or there is none to choose from.
    """
    if bool(objects) + (most_uncertain is not None) + (per_class is not None) > 1:
        raise ConfigError(
            "Choose objects in one way only.",
            allowed="one of --objects, --most-uncertain and --per-class",
        )
    if of is not None and len(targets) > 1:
        raise ConfigError("`of` needs a single target.", received=", ".join(targets))
    current = Run.open(folder)
    config, home, shards = current.config, current.directory, current.shards
    # Before TensorFlow, which takes seconds to load.
    home.require(home.model, "train")

    load_tensorflow()
    estimator = current.estimator
    network = ExplainedNetwork.find(estimator, shards)
    names = tuple(targets) or (network.task.headline.partition(".")[0],)
    explained = {name: network.task.target(name) for name in names}
    number = None if of is None else ExplainTarget.parse(of, explained[names[0]])
    mapping, inspecting = select_methods(methods)
    test = current.rows["test"]
    predictions = RunPredictions(
        estimator,
        shards,
        current.sample,
        kept=_kept_samples(current),
        columns=[c for c in (config.evaluation.cut, *config.evaluation.by) if c],
    )
    rows, choice = _select(network, predictions, test, names[0], objects, most_uncertain, per_class)
    yield f"{len(rows)} objects, {choice}; labels are shown, and no score is computed"
    yield from network.remarks

    images, scalars = network.arrays(rows)
    wcs, remark = _cutout_wcs(current, rows)
    if remark:
        yield remark
    ra, dec = _get_positions(shards.catalog, rows)
    shown = ExplainedObjects(
        shards.ids[rows],
        rows,
        ra,
        dec,
        images=shards.images(rows),
        wcs=wcs,
        bands=shards.bands,
        channels=network.channels,
        unit=shards.unit or "",
        scalars=network.scalars_alone(rows),
    )
    attributions: list[Attribution] = []
    steps: list[Iterator[str]] = []
    # Uncertainty needs draws even if the predictions of the run have none.
    draws = config.prediction.draws or 20
    sampler = partial(build_sampler, draws=draws, seed=config.seed)
    for uncertain in (False, True) if uncertainty else (False,):
        for name in names if mapping else ():
            target_predictions = predictions.of_target(name, rows)
            if uncertain:
                target = ExplainTarget(explained[name], uncertainty=True)
            else:
                target = number or target_predictions.explain_target(explained[name])
            one, work = compute_attribution(
                network.model,
                images,
                target,
                mapping,
                scalars=scalars,
                checks=CHECKS if checks else (),
                sampler=sampler if uncertain else None,
                square=square,
            )
            one.objects, one.name = shown, name
            one.truths, one.predictions = predictions.labels(name, rows), target_predictions.texts
            if not (uncertain or target_predictions.classes):
                one.along = (f"predicted {name}", target_predictions.value)
            attributions.append(one)
            steps.append(work)
    inspection = Inspection(
        network, predictions, names[0], test[:_POINTS], int(rows[0]), config.seed
    )
    inspections: dict[str, Sequence[Any]] = {}
    skipped: dict[str, str] = {}
    steps.append(inspection.run_all(inspecting, inspections, skipped))
    count = len(attributions) * len(mapping) * (1 + len(CHECKS) * checks) + len(inspecting)
    for _ in track(chain(*steps), "explaining", total=count):
        pass
    by_reason: dict[str, list[str]] = {}
    for left_out in (*(one.skipped for one in attributions), skipped):
        for name, reason in left_out.items():
            by_reason.setdefault(reason, []).append(name)
    for reason, unused in by_reason.items():
        yield f"without {', '.join(dict.fromkeys(unused))}: {reason}"
    attributions = [one for one in attributions if one.maps]
    if not attributions and not inspections:
        raise PredictionError(
            "None of these methods can be used on this network.", received=", ".join(methods)
        )
    explanation = Explanation(shown, attributions, inspections)
    yield from _write(current, network, explanation)


def _kept_samples(current: Run) -> Any:
    """Rows and draws of the last evaluation, if it used this model."""
    home, estimator = current.directory, current.estimator
    if not ((home.evaluation / "samples.npz").is_file() and home.scores.is_file()):
        return None
    with home.reading(home.scores, "evaluate") as scores:
        about = read_scores(scores)[2]
    same = about.get("model") == estimator.fingerprint
    return home.kept_draws(estimator.task.names) if same else None


def _select(
    network: ExplainedNetwork,
    predictions: RunPredictions,
    test: Rows,
    target: str,
    objects: Sequence[str],
    most_uncertain: int | None,
    per_class: int | None,
) -> tuple[Rows, str]:
    """Rows to explain, and a description of how they were selected."""
    shards = network.shards
    if objects:
        rows = select_by_id(shards.catalog, objects)
        bad = np.setdiff1d(rows, find_usable_rows(shards, network.inputs)[0])
        if len(bad):
            raise PredictionError(
                "An object lacks its image, a band or a scalar.",
                received=", ".join(str(i) for i in shards.ids[bad]),
            )
        return rows, "as named"
    if not len(test):
        raise PredictionError(
            "The test split has no labelled object to choose from.", hint="name some: --objects"
        )
    target_predictions = predictions.of_target(target, test)
    if most_uncertain is not None:
        chosen = select_most_uncertain(target_predictions, most_uncertain)
        return test[chosen], "the most uncertain of the test split"
    count = PER_CLASS if per_class is None else per_class
    chosen = select_per_class(target_predictions, count)
    each = "predicted class" if target_predictions.classes else "fifth of the predicted values"
    return test[chosen], f"{count} of each {each} in the test split"


def _get_positions(catalog: Catalog, rows: Rows) -> list[Any]:
    return [None if values is None else values[rows] for values in (catalog.ra, catalog.dec)]


def _cutout_wcs(current: Run, rows: Rows) -> tuple[list[Any], str]:
    """WCS of the cutouts, and the reason if there is none."""
    none = [None] * len(rows)
    try:
        survey, shards = current.survey, current.shards
        if survey is None:
            return none, ""
        catalog = current.catalog
        if not np.array_equal(catalog.ids[rows], shards.ids[rows]):
            return none, "without WCS: the catalogue has changed since the cutouts were made"
        columns = {name: catalog.table[name][rows] for name in catalog.table.colnames}
        ra, dec = _get_positions(catalog, rows)
        source = open_source(survey, ra=ra, dec=dec, columns=columns, size=shards.size)
        return [get_cutout_wcs(source, k) for k in range(len(rows))], ""
    except (AstrocnnError, OSError, IndexError) as error:
        return none, f"without WCS: {getattr(error, 'what', error)}"


def _write(current: Run, network: ExplainedNetwork, explanation: Explanation) -> Iterator[str]:
    """Write files, figures and report."""
    home, fingerprint = current.directory, network.estimator.fingerprint
    cards: list[tuple[str, Any, str]] = [
        ("ORIGIN", f"astrocnn {__version__}", "software"),
        ("RUN", current.config.title, "title of the run"),
        ("CONFSHA", sha256(home.config_file), "digest of the run file"),
        ("MODELSHA", current.estimator.fingerprint, "digest of what predicts"),
        ("NETSHA", fingerprint, "digest of the network explained"),
    ]
    with replacing_folder(home.explanations) as fresh:
        write_explanation(fresh, explanation, cards)
    chapters = report.inside_chapters(home, network.shards, fingerprint) or []
    n = _save_figures(home.figures, chapters)
    yield f"explanations: {home.explanations}"
    yield f"{n} figures: {home.figures / 'explain_*.png'}"
    if home.scores.is_file():
        yield from report.write(current, inside=chapters)
    else:
        yield "run 'astrocnn evaluate' and 'astrocnn report' for a report with these chapters"


def _save_figures(folder: Path, chapters: Sequence[Chapter]) -> int:
    """Write the figures of chapters as PNG, replacing earlier ones."""
    old = set(folder.glob("explain_*.png"))
    n = 0
    for chapter in chapters:
        for number, picture in enumerate(chapter.figures, start=1):
            path = folder / f"explain_{chapter.anchor}_{number}.png"
            # A raster of the page is the same file; vector graphics are rendered here.
            embedded = picture.source.partition(",")[2] if picture.raster else ""
            write_bytes(path, base64.b64decode(embedded or render_png(picture.figure)))
            old.discard(path)
            n += 1
    for path in old:
        path.unlink()
    return n
