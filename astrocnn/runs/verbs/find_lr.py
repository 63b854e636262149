"""``astrocnn find-lr``: which learning rate a run should be trained with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.atomic import replacing
from astrocnn.backend import keras, load_tensorflow
from astrocnn.datasets import Shards
from astrocnn.errors import ConfigError, TrainingError
from astrocnn.imaging import Inputs
from astrocnn.runs.assemble import (
    augmentation_of,
    network_of,
    optimizer_of,
    options_of,
    task_of,
)
from astrocnn.runs.config import RunConfig
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.verbs.cutouts import make_shards
from astrocnn.runs.verbs.train import labelled_rows, trained_inputs
from astrocnn.targets import Task

__all__ = ["Beginning", "begin", "run", "save_figure"]

# Small batches are noisy: the more of them, so that the average always sees as many objects.
_STEPS = 120
_OBJECTS = 2000


@dataclass(frozen=True)
class Beginning:
    """A run as it stands before the first update.

    Parameters
    ----------
    task : Task
        What is predicted.
    shards : Shards
        The cutouts.
    rows : dict of str to ndarray of int64
        Labelled rows by split; those of "train" lack no scalar.
    inputs : Inputs
        With what was measured on the training rows.
    model : keras.Model
        Untrained, with the weights that `astrocnn train` begins with.
    """

    task: Task
    shards: Shards
    rows: dict[str, np.ndarray]
    inputs: Inputs
    model: Any


def begin(config: RunConfig, folder: RunDirectory) -> Beginning:
    """Cut what is not cut yet and build the network; the folder is not bound to this run.

    Raises
    ------
    ConfigError
        If the run has no network.
    TrainingError
        If no object of the training split has a label.
    """
    if config.model.method is not None:
        raise ConfigError(
            "This run has no network.",
            received=f"method '{config.model.method}'",
            hint="give an architecture in [model]",
        )
    task = task_of(config)
    load_tensorflow()

    options_of(config), optimizer_of(config)
    shards, _ = make_shards(config, folder)
    rows = labelled_rows(config, shards, task)
    if not len(rows["train"]):
        raise TrainingError(
            "The train split has no labelled object with an image.",
            hint="add rows, or change split.fractions",
        )
    inputs = trained_inputs(config, shards, rows["train"])
    if inputs.scalars and not inputs.scalar_location:
        inputs = inputs.with_scalar_statistics(shards.scalars(inputs.scalars)[rows["train"]])
    keras.utils.set_random_seed(config.seed)
    return Beginning(task, shards, rows, inputs, network_of(config, task, shards))


def save_figure(figure: Any, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG; returns the two files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix in ("png", "svg"):
        file = path.with_suffix(f".{suffix}")
        with replacing(file) as temporary:
            figure.savefig(temporary, format=suffix, dpi=200)
        written.append(file)
    return written


def run(config: RunConfig, out: Path) -> Iterator[str]:
    """Sweep the learning rate over the training split; no weights are kept.

    Only cutouts and a figure are written, so that the same folder can then be trained in with
    another learning rate.
    """
    folder = RunDirectory(out)
    start = begin(config, folder)
    from astrocnn.datasets import build_dataset
    from astrocnn.training import find_learning_rate

    targets = start.task.targets
    data = build_dataset(
        start.shards,
        start.rows["train"],
        start.task,
        start.inputs,
        batch_size=config.training.batch_size,
        augmentation=augmentation_of(config, start.task, start.inputs),
        shuffle=True,
        seed=config.seed,
    )
    found = find_learning_rate(
        start.model,
        data,
        {t.name: t.family.loss for t in targets},
        optimizer=optimizer_of(config),
        steps=max(_STEPS, _OBJECTS // config.training.batch_size),
        loss_weights={t.name: t.weight for t in targets},
    )
    picture, _ = save_figure(found.figure(), folder.figures / "learning_rate.png")
    end = "the loss ran away" if found.diverged else "the loss had not run away"
    yield f"{found.rates[0]:.1e} to {found.rates[-1]:.1e} in {len(found)} updates; {end}"
    if found.suggestion is not None:
        yield (
            f"suggestion: training.learning_rate = {found.suggestion:.1e}, a decade below the "
            f"lowest loss (the run has {config.training.learning_rate:.1e})"
        )
    else:
        yield (
            "no suggestion: the loss fell at no rate by more than its noise; try "
            "'astrocnn diagnose', or a larger training.batch_size"
        )
    yield f"figure: {picture}"
