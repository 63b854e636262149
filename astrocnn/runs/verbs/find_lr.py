"""``astrocnn find-lr``: suggest a learning rate for a run."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from astrocnn import datasets, training
from astrocnn.atomic import replacing
from astrocnn.backend import load_tensorflow
from astrocnn.runs.run import Run, get_members
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.verbs.cutouts import write_cutouts

__all__ = ["prepare", "run", "save_figure"]

# Small batches are noisy: use more of them, so that the average covers as many objects.
_STEPS = 120
_OBJECTS = 2000


def prepare(config: RunConfig, out: Path) -> Run:
    """A run before the first update; its folder may hold another run file.

    The cutouts are written and the normalization is measured on the training rows.

    Raises
    ------
    ConfigError
        If the run has no network.
    TrainingError
        If no object of the training split has a label.
    """
    current = Run(config, out)
    current.require_network()
    _ = current.task, current.block_options, current.optimizer
    load_tensorflow()
    write_cutouts(current)
    rows = current.require_rows("train")
    current.fit_inputs()
    estimator = get_members(current.untrained)[0]
    inputs = estimator.inputs
    if inputs.scalars and not inputs.scalar_location:
        scalars = current.shards.scalars(inputs.scalars)[rows["train"]]
        estimator.inputs = inputs.with_scalar_statistics(scalars)
    return current


def save_figure(figure: Any, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG; returns the two files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = []
    for suffix in ("png", "svg"):
        file = path.with_suffix(f".{suffix}")
        with replacing(file) as temporary:
            figure.savefig(temporary, format=suffix, dpi=200)
        files.append(file)
    return files


def run(config: RunConfig, out: Path) -> Generator[str, None, float | None]:
    """Sweep the learning rate over the training split; no weights are kept.

    Only cutouts and a figure are written, so that the same folder can then be trained in with
    another learning rate.

    Returns
    -------
    float or None
        The suggestion, if there is one.
    """
    current = prepare(config, out)
    targets = current.task.targets
    data = datasets.build_dataset(
        current.shards,
        current.rows["train"],
        current.task,
        current.untrained.inputs,
        batch_size=config.training.batch_size,
        augmentation=current.augmentation,
        shuffle=True,
        seed=config.seed,
    )
    result = training.find_learning_rate(
        current.network,
        data,
        training.Objective(
            {t.name: t.family.loss for t in targets}, {t.name: t.weight for t in targets}
        ),
        optimizer=current.optimizer,
        layer_rates=current.begin_network(),
        steps=max(_STEPS, _OBJECTS // config.training.batch_size),
    )
    picture, _ = save_figure(result.figure(), current.directory.figures / "learning_rate.png")
    end = "the loss diverged" if result.diverged else "the loss did not diverge"
    yield f"{result.rates[0]:.1e} to {result.rates[-1]:.1e} in {len(result)} updates; {end}"
    if result.suggestion is not None:
        yield (
            f"suggestion: training.learning_rate = {result.suggestion:.1e}, a decade below the "
            f"lowest loss (the run has {config.training.learning_rate:.1e})"
        )
    else:
        yield (
            "no suggestion: the loss fell at no rate by more than its noise; try "
            "'astrocnn diagnose', or a larger training.batch_size"
        )
    yield f"figure: {picture}"
    return result.suggestion
