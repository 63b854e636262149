"""``astrocnn check``: a dry run that reports problems before training."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from astrocnn.backend import load_tensorflow
from astrocnn.catalog import SPLITS, Catalog
from astrocnn.errors import AstrocnnError, ConfigError
from astrocnn.flags import UNUSABLE, Flag
from astrocnn.imaging import Source
from astrocnn.runs.run import EMPTY_TEST, Run, get_members
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.verbs.pretrain import build_encoder, get_options
from astrocnn.targets import Task
from astrocnn.terminal import build_table
from astrocnn.training.diagnostics import Finding

__all__ = ["run"]

_TRIED = 64
_NEAR = 5.0
"""Distance from an image at which exchanged coordinates are no chance [deg]."""
_SECONDS = 10.0
"""Time that the cutouts tried may take."""
_PIXELS = 1 << 19
"""Pixels of the batch that is timed: 64 stamps of 90 pixels, or a few large ones."""
_SHOWN = 5


def run(config: RunConfig) -> tuple[Table, bool]:
    """Check everything a run needs, without writing anything.

    Returns
    -------
    findings : rich Table
        One line for each check.
    good : bool
        Whether the run can start.
    """
    load_tensorflow()
    table = build_table(config.title, ("", "", ""))
    good = True
    for finding in _findings(Run(config)):
        mark = Text("ok", "green") if finding.passed else Text("wrong", "red")
        table.add_row(mark, finding.check, finding.message)
        good &= finding.passed
    return table, good


def _findings(run: Run) -> Iterator[Finding]:
    catalog, finding = _attempt("catalogue", lambda: _catalog(run))
    yield finding
    task, finding = _attempt("task", lambda: _task(run))
    yield finding
    source = None
    if catalog is not None:
        source, finding = _attempt("survey", lambda: _source(run))
        yield finding
    if catalog is not None and task is not None:
        _, finding = _attempt("labels", lambda: _labels(run))
        yield finding
    if catalog is not None and source is not None and source.bands:
        yield from _images(catalog, source)
    if source is None or task is None:
        return
    if not run.has_network:
        yield _attempt("method", lambda: _method(run))[1]
        yield _attempt("draws", lambda: _draws(run))[1]
        return
    model, finding = _attempt("network", lambda: _network(run))
    yield finding
    yield _attempt("training", lambda: _training(run))[1]
    if model is None:
        return
    yield _attempt("draws", lambda: _draws(run))[1]
    yield _attempt(
        "time", lambda: _time(run.config, model, len(source), int(np.sum(run.splits == 0)))
    )[1]
    if run.config.pretraining is not None:
        n_train = int(np.sum(run.splits == 0))
        yield _attempt("pretraining", lambda: _pretraining(run, model, n_train))[1]
    if run.config.model.weights is not None:
        yield _attempt("start", lambda: _start(run))[1]


def _attempt(name: str, do: Callable[[], tuple[Any, str]]) -> tuple[Any, Finding]:
    try:
        value, summary = do()
    except AstrocnnError as error:
        return None, Finding(name, False, str(error))
    return value, Finding(name, True, summary)


def _catalog(run: Run) -> tuple[Catalog, str]:
    catalog = run.catalog
    roles = catalog.roles
    positions = f"positions '{roles.ra}', '{roles.dec}'" if roles.ra else "no positions"
    summary = f"{len(catalog)} rows, identifier '{roles.id}', {positions}"
    for name in run.config.inputs.scalars:
        catalog.numbers(name)
    bad = int(np.count_nonzero(catalog.flags & int(Flag.BAD_COORDINATES)))
    return catalog, summary + (f"; {bad} with bad coordinates" if bad else "")


def _task(run: Run) -> tuple[Task, str]:
    return run.task, ", ".join(
        f"{t.name} from column {', '.join(map(repr, t.label_columns))}" for t in run.task.targets
    )


def _source(run: Run) -> tuple[Source, str]:
    survey, source = run.survey, run.source
    if survey is None:
        return source, "none: the catalogue alone"
    scale = "scale unknown" if source.pixel_scale is None else f"{source.pixel_scale:.4g} arcsec"
    summary = f"{survey.name}: {', '.join(source.bands)}; {scale}, unit {source.unit or 'unknown'}"
    pairs: list[str] = getattr(source, "pairs", [])
    more = [f"and {len(pairs) - _SHOWN} more images"] if len(pairs) > _SHOWN else []
    return source, "\n".join([summary, *pairs[:_SHOWN], *more])


def _labels(run: Run) -> tuple[None, str]:
    catalog, task, inputs = run.catalog, run.task, run.config.inputs
    encoded, weights = task.encode({name: catalog.column(name) for name in task.label_columns})
    tally = task.tally(encoded, weights)
    lines = [f"{name}: " + ", ".join(f"{k} {v}" for k, v in t.items()) for name, t in tally.items()]
    usable = np.any([weight > 0 for weight in weights.values()], axis=0)
    usable &= np.all([np.isfinite(catalog.numbers(x)) for x in inputs.scalars], axis=0)
    if run.config.survey is not None:
        usable &= (catalog.flags & int(UNUSABLE)) == 0
    counts = np.bincount(run.splits[usable], minlength=len(SPLITS))
    splits = ", ".join(f"{n} {name}" for name, n in zip(SPLITS, counts, strict=True))
    if run.config.survey is None:
        lines.append(f"{splits} objects with labels")
    else:
        lines.append(
            f"about {splits} objects with labels: 'train' leaves out those without an image, and "
            "puts identical images into one split"
        )
    run.check_columns(catalog.table)
    empty = [name for name, n in zip(SPLITS, counts, strict=True) if not n]
    if not counts.any():
        raise ConfigError(
            "No object can be used for training.",
            received="\n".join(lines),
            allowed="objects with a label, with all scalars and, if there are images, a position",
            hint="look at the column of the labels and its classes or range, and at those of the "
            "positions",
        )
    if set(empty) - {"test"}:
        raise ConfigError(
            f"There is no object for: {', '.join(empty)}.",
            received="\n".join(lines),
            hint="add rows, or change split.fractions or split.by",
        )
    return None, "\n".join([*lines, EMPTY_TEST] if empty else lines)


def _images(catalog: Catalog, source: Source) -> Iterator[Finding]:
    """Cut a few objects, evenly spread over the files, and time it."""
    order = source.order()
    rows = order[np.linspace(0, len(order) - 1, min(_TRIED, len(order))).astype(int)]
    _attempt("cutouts", lambda: (source.read(rows[:1]), ""))  # so that imports are not timed
    start = time.perf_counter()
    _attempt("cutouts", lambda: (source.read(rows[:1]), ""))
    # Of huge images, a few are enough.
    most = max(4, int(_SECONDS / max(time.perf_counter() - start, 1e-6)))
    rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
    start = time.perf_counter()
    cutouts, finding = _attempt("cutouts", lambda: (source.read(np.sort(rows)), ""))
    if cutouts is None:
        yield finding
        return
    seconds = (time.perf_counter() - start) / len(rows)
    without = int(np.count_nonzero(cutouts.flags & int(UNUSABLE)))
    n = len(rows)
    some = f"{without} of the {n} objects tried have no image"
    lines = [
        {0: f"all {n} objects tried have an image", n: f"none of {n} has an image"}.get(
            without, some
        )
    ]
    for flag in Flag:
        count = int(np.count_nonzero(cutouts.flags & int(flag)))
        if count:
            lines.append(f"{count} of {len(rows)}: {flag.sentence}")
    lines += _describe_problems(catalog, source, cutouts.flags)
    yield Finding("cutouts", without < n, "\n".join(lines))
    size = cutouts.images[0].nbytes * len(catalog)
    yield Finding(
        "cost",
        True,
        f"shards {size / 2**20:.0f} MiB on disk; cutting takes {seconds * len(catalog):.0f} s"
        f" at most (measured on {len(rows)} objects from as many places)",
    )


def _describe_problems(catalog: Catalog, source: Source, flags: Any) -> list[str]:
    """Messages of files, one of a kind, and what to look at."""
    kinds: dict[str, list[str]] = {}
    for problem in dict.fromkeys(getattr(source, "problems", [])):
        # Messages on different files differ in the path alone.
        kinds.setdefault(re.sub(r"\S*/\S*", "", problem), []).append(problem)
    lines = [
        alike[0] + (f" ({len(alike)} files or more)" if len(alike) > 1 else "")
        for alike in list(kinds.values())[:_SHOWN]
    ]
    elsewhere = np.all(flags & int(UNUSABLE)) and np.any(flags & int(Flag.NO_COVERAGE))
    if elsewhere and catalog.ra is not None and catalog.dec is not None:
        ra, dec = (x[np.isfinite(x)] for x in (catalog.ra, catalog.dec))
        places: list[tuple[float, float]] = getattr(source, "places", [])
        there = "; ".join(f"RA {x:.4f}, Dec {y:.4f}" for x, y in places)
        lines.append(
            f"the catalogue has RA {ra.min():.4f} to {ra.max():.4f}, Dec {dec.min():.4f} to "
            f"{dec.max():.4f} deg; images are at {there}"
        )
        # Right ascensions are stored from 0 to 360, so a declination of -30 has become 330.
        x, y = np.median(dec), (np.median(ra) + 180) % 360 - 180
        near = (abs((x - a + 180) % 360 - 180) < _NEAR and abs(y - d) < _NEAR for a, d in places)
        if any(near):
            lines.append("try: exchange ra and dec under [catalog]: they would be near the images")
        return lines
    # Of an absent file, no more can be said.
    seen = flags[(flags & int(Flag.FILE_MISSING | Flag.FILE_UNREADABLE)) == 0]
    if not len(seen) or np.mean((seen & int(Flag.BAND_PARTIAL | Flag.BAND_MISSING)) != 0) <= 0.5:
        return lines
    beyond = np.mean((seen & int(Flag.PARTLY_OUTSIDE)) != 0) > 0.5
    lines.append(
        "warning: most objects have a band with few or no data: "
        + (
            "most cutouts reach beyond their images, so make inputs.size smaller, or crop in the "
            "survey file"
            if beyond
            else "look at weight, mask and hdu in the survey file"
        )
    )
    return lines


def _network(run: Run) -> tuple[Any, str]:
    model, inputs = run.network, run.inputs
    shapes = [" x ".join(map(str, inputs.shape))] if inputs.bands else []
    shapes += [f"{len(inputs.scalars)} scalars"] if inputs.scalars else []
    summary = f"{model.name}: {' and '.join(shapes)}, "
    return model, summary + f"{model.count_params():,} parameters"


def _method(run: Run) -> tuple[None, str]:
    facts = run.untrained.facts
    return None, "; ".join(f"{name.lower()}: {value}" for name, value in facts.items())


def _start(run: Run) -> tuple[None, str]:
    first, one = (get_members(e)[0] for e in (run.untrained, run.start))
    return None, first.describe_start(one)["Weights"]


def _draws(run: Run) -> tuple[None, str]:
    run.check_draws()
    section = run.config.prediction
    draws = f"{section.draws}" if section.draws else "none: one deterministic pass"
    return None, f"{draws}; views: {section.views}"


def _pretraining(run: Run, model: Any, n_train: int) -> tuple[None, str]:
    """Options of learning without labels, and the time that it takes: two views of each object."""
    section = run.config.pretraining
    assert section is not None
    get_options(run, run.inputs)
    build_encoder(run, run.inputs)
    if not section.epochs:
        return None, f"none: the weights of {run.config.model.weights} are kept"
    epoch = 2 * 3 * _time_object(model) * n_train
    return None, (
        f"{section.method}, {section.epochs} epochs of {n_train} objects in batches of "
        f"{section.batch_size}, two views each; about {_duration(epoch)} an epoch, "
        f"{_duration(epoch * section.epochs)} for all, without augmentation"
    )


def _time_object(model: Any) -> float:
    """Time one pass over a batch, per object [s]."""
    pixels = max((math.prod(x.shape[1:3]) for x in model.input.values()), default=1)
    n = max(1, min(_TRIED, _PIXELS // pixels))
    batch = {name: np.zeros((n, *x.shape[1:]), np.float32) for name, x in model.input.items()}
    model.predict_on_batch(batch)
    start = time.perf_counter()
    for _ in range(3):
        model.predict_on_batch(batch)
    return (time.perf_counter() - start) / (3 * n)


def _time(config: RunConfig, model: Any, n_rows: int, n_train: int) -> tuple[None, str]:
    """Time of the training; a step costs about three passes."""
    per_object = _time_object(model)
    epoch = 3 * per_object * n_train
    summary = (
        f"about {_duration(epoch)} an epoch, {_duration(epoch * config.training.epochs)} for all; "
        f"{_duration(per_object * n_rows)} for one deterministic pass over the catalogue "
        "(this machine, float32)"
    )
    return None, summary


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def _training(run: Run) -> tuple[None, str]:
    _ = run.optimizer, run.augmentation
    section = run.config.training
    return None, (
        f"{section.optimizer}, rate {section.learning_rate:g} ({section.schedule}), "
        f"{section.epochs} epochs of batches of {section.batch_size}"
    )
