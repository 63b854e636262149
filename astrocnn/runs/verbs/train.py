"""``astrocnn train``: from a run file to a trained estimator in a run directory."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn import estimators
from astrocnn.backend import load_tensorflow
from astrocnn.calibration.novelty import LEAST_ROWS
from astrocnn.catalog import SPLITS
from astrocnn.datasets import read_labels
from astrocnn.errors import AstrocnnError, ConfigError, TrainingError
from astrocnn.estimators import fit_novelty
from astrocnn.estimators.base import read_kind
from astrocnn.evaluation.figures.training import plot_learning_curve
from astrocnn.report import plot_bands, render_png
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.pseudo_labels import train_again
from astrocnn.runs.run import EMPTY_TEST, Run, get_members
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.trained_runs import check_runs
from astrocnn.runs.verbs.cutouts import write_cutouts
from astrocnn.targets import Task
from astrocnn.training.loggers import Logger, open_loggers
from astrocnn.training.strategies import (
    get_strategy,
    is_chief,
    wait_for_all,
    wait_for_chief,
)

__all__ = ["run"]

_LOGGED = 8
"""Training objects whose images are logged."""


def run(
    config: RunConfig,
    out: Path,
    *,
    cut: bool = True,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> Iterator[str]:
    """Write the cutouts, fit the normalization, train, and save the estimator.

    Given again after an interruption it continues.

    Parameters
    ----------
    config : RunConfig
        What to train.
    out : Path
        The run directory.
    cut : bool
        Whether to write the cutouts; otherwise they must exist.
    callbacks : sequence of callable
        Called with the history after each epoch of a network.

    Raises
    ------
    ConfigError, CatalogError
        If the run file and the catalogue do not fit together, or another process writes to the
        directory.
    ModelError
        If the network cannot be built.
    TrainingError
        If there is nothing to train on.
    """
    current = Run(config, out)
    _check_catalog(current)
    load_tensorflow()
    # Other workers can only be joined before TensorFlow is used.
    strategy = get_strategy(config.training.strategy)
    chief = is_chief(strategy)
    if cut and not current.directory.model.exists():
        _check_network(current)
    with RunDirectory(out).claimed() if chief else nullcontext():
        yield from _train(current, strategy, cut=cut, callbacks=callbacks)


def _train(
    current: Run, strategy: Any, *, cut: bool, callbacks: Sequence[Callable[[Any], None]]
) -> Iterator[str]:
    config, chief = current.config, is_chief(strategy)
    if chief:
        RunDirectory.create(current.directory.path, config)
    wait_for_all(strategy)
    folder = RunDirectory.open(current.directory.path)
    if folder.model.exists():
        if read_kind(folder.model) == estimators.Encoder.KIND:
            raise ConfigError(
                f"{folder.path} holds a network that was pretrained without labels.",
                hint=f"choose another --out, and start from it: --from {folder.path}",
            )
        yield f"{folder.model} is trained already; remove it to train anew"
        return
    if cut and chief:
        write_cutouts(current)
    wait_for_all(strategy)
    current.check_draws()
    rows = current.require_rows("train", "validation")
    yield ", ".join(f"{len(rows[name])} {name}" for name in SPLITS) + " objects with labels"
    if not len(rows["test"]):
        yield EMPTY_TEST
    yield from _check_labels(
        current.task, *read_labels(current.shards, current.task, rows["train"])
    )
    current.fit_inputs()
    options = current.fit_options
    names = config.training.log_to if chief and current.has_network else ()
    with open_loggers(names, folder.path, config.title) as loggers:
        if current.has_network:
            options |= {
                "strategy": strategy,
                "backup": folder.backup,
                "history_file": folder.history,
                "callbacks": (*callbacks, *loggers),
            }
        estimator = current.untrained
        if config.training.pseudo_labels is None:
            estimator.fit(current.shards, rows["train"], rows["validation"], **options)
        else:
            estimator = yield from _train_twice(current, rows, options, write=chief)
        if loggers:
            _log_figures(current, loggers, estimator)
    if config.model.weights is not None:
        yield f"began with {config.model.weights}: {estimator.facts['Weights']}"
    if chief:
        novelty = None
        try:
            novelty = fit_novelty(estimator, current.shards, rows["train"], rows["validation"])
        except AstrocnnError as error:  # what was trained is kept
            yield f"warning: predictions will have no novelty score: {error.what}"
        folder.save_estimator(estimator, novelty)
        if novelty is not None and len(novelty.distances) < LEAST_ROWS:
            yield (
                f"novelty: no object will be flagged, {len(novelty.distances)} validation objects "
                f"are fewer than {LEAST_ROWS}"
            )
    wait_for_chief(strategy, folder.model)
    histories = [m.history_ for m in get_members(estimator) if hasattr(m, "history_")]
    if histories:
        kept = ", ".join(f"{h.best_epoch} of {len(h)}" for h in histories)
        yield f"weights of the best epoch are kept: {kept}"
    yield f"trained: {folder.model}"


def _train_twice(
    current: Run, rows: dict[str, Any], options: dict[str, Any], *, write: bool
) -> Generator[str, None, Any]:
    """Train, and again with pseudo-labels: each has a backup, and the second the history."""
    teacher = current.untrained
    backup = current.directory.backup
    callbacks = [c.open_part("first") if isinstance(c, Logger) else c for c in options["callbacks"]]
    first = {**options, "backup": backup / "first", "callbacks": callbacks}
    teacher.fit(current.shards, rows["train"], rows["validation"], **first)

    def fit(train: Any, **more: Any) -> Any:
        return current.build_estimator(get_members(teacher)[0].inputs).fit(
            current.shards, train, rows["validation"], **{**options, **more}
        )

    return (yield from train_again(current, teacher, rows, fit, write=write))


def _log_figures(current: Run, loggers: Sequence[Logger], estimator: Any) -> None:
    """Give the loggers the learning curves, and images of training objects."""
    history = get_members(estimator)[0].history_
    figures = {"learning curves": plot_learning_curve(dict(history), history.best_epoch)}
    if current.inputs.bands:
        shards, rows = current.shards, current.rows["train"][:_LOGGED]
        labels = [str(name) for name in shards.ids[rows].tolist()]
        figures["training objects"] = plot_bands(
            shards.images(rows), shards.bands, labels=labels, pixel_scale=shards.pixel_scale
        )
    for name, figure in figures.items():
        png = base64.b64decode(render_png(figure, dpi=120))
        for logger in loggers:
            logger.log_picture(name, png)


def _check_catalog(current: Run) -> None:
    """Validate labels, columns and options before TensorFlow is loaded."""
    check_runs(current.config)
    task, catalog = current.task, current.catalog
    task.encode({name: catalog.column(name) for name in task.label_columns})
    for name in current.config.inputs.scalars:
        catalog.numbers(name)
    current.check_columns(catalog.table)
    _ = current.splits
    if current.has_network:
        _ = current.block_options, current.optimizer


def _check_network(current: Run) -> None:
    """Build the network before the cutouts are written: errors appear early and leave no folder."""
    _ = current.source, current.start, current.untrained, current.fit_options
    if current.has_network:
        current.optimizer.build()
        _ = current.network
    current.check_draws()


def _check_labels(
    task: Task, encoded: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """Warn of labels in the training set that a network cannot learn from.

    Raises
    ------
    TrainingError
        If there is no other label.
    """
    constant = {}
    for name, counts in task.tally(encoded, weights).items():
        labels = encoded[name][weights[name] > 0]
        absent = [kind for kind, n in counts.items() if not n]
        if not len(labels) or not np.any(labels != labels[0]):
            constant[name] = " or ".join(k for k, n in counts.items() if n) or "missing"
        elif absent and len(counts) > 2:
            yield f"no training object of {name} is {' or '.join(absent)}: it cannot be learned"
    if len(constant) == len(task.targets):
        raise TrainingError(
            "The labels of the training objects are all alike: there is nothing to tell apart.",
            received="; ".join(f"{name}: all {label}" for name, label in constant.items()),
            hint="check the label column and the map of the task",
        )
    for name, label in constant.items():
        yield f"all training labels of {name} are {label}: it cannot be learned"
