"""``astrocnn pretrain``: a network that learns features from images without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn import datasets, estimators, plugins
from astrocnn.backend import load_tensorflow
from astrocnn.errors import AstrocnnError, ConfigError
from astrocnn.evaluation.figures.training import plot_pretraining
from astrocnn.imaging import Inputs
from astrocnn.pretraining import bind_loss, find_collapse
from astrocnn.report.page import Chapter, Picture, Table, write_report
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.run import Rows, Run, build_steps
from astrocnn.runs.sections import PretrainingSection, RunConfig
from astrocnn.runs.verbs.cutouts import write_cutouts
from astrocnn.runs.verbs.find_lr import save_figure

__all__ = ["build_encoder", "get_options", "run"]


def run(
    config: RunConfig, out: Path, *, callbacks: Sequence[Callable[[Any], None]] = ()
) -> Iterator[str]:
    """Write the cutouts, train on pairs of views, and save the network without its projector.

    Given again after an interruption it continues.

    Parameters
    ----------
    config : RunConfig
        What to train.
    out : Path
        The run directory, which other runs name in ``model.weights``.
    callbacks : sequence of callable
        Called with the history after each epoch.

    Raises
    ------
    ConfigError
        If the run has no network of images, or the folder belongs to another run.
    TrainingError
        If there is nothing to train on.
    """
    # The defaults are kept with the run: they may change.
    config = config.model_copy(update={"pretraining": config.pretraining or PretrainingSection()})
    current = Run(config, out)
    load_tensorflow()
    if not current.directory.model.exists():
        # Errors appear before the cutouts are written, and leave no folder.
        start = get_options(current, current.inputs)["start"]
        encoder = build_encoder(current, current.inputs)
        _ = encoder.network if start is None else encoder.describe_start(start)
    with RunDirectory(out).claimed():
        yield from _pretrain(current, callbacks)


def _pretrain(current: Run, callbacks: Sequence[Callable[[Any], None]]) -> Iterator[str]:
    config = current.config
    home = RunDirectory.create(current.directory.path, config)
    if home.model.exists():
        yield f"{home.model} is trained already; remove it to train anew"
        return
    write_cutouts(current)
    rows = current.find_training_rows()
    labelled = _find_labelled(current)
    in_training = 0 if labelled is None else int(np.isin(labelled["train"], rows).sum())
    yield f"{len(rows)} train objects, of which {in_training} have labels; labels are not used"
    inputs = current.inputs.with_normalization(current.find_normalization(rows))
    encoder = build_encoder(current, inputs)
    encoder.fit(
        current.shards,
        rows,
        None if labelled is None else labelled["validation"],
        **get_options(current, inputs),
        callbacks=callbacks,
        backup=home.backup,
        history_file=home.history,
    )
    home.save_estimator(encoder, None)
    if current.start is not None:
        yield f"began with {config.model.weights}: {encoder.facts['Weights']}"
    if not len(encoder.history_):
        yield f"nothing was trained: {home.model}"
        return
    history = {name: encoder.history_[name] for name in encoder.history_.columns}
    yield from _write_report(current, encoder, history, len(rows))
    yield f"trained without labels: {home.model}"


def _find_labelled(current: Run) -> dict[str, Rows] | None:
    """Labelled rows by split; None in a catalogue without labels."""
    try:
        return current.rows
    except AstrocnnError:
        return None


def build_encoder(current: Run, inputs: Inputs) -> estimators.Encoder:
    """Build the network of a run, to be trained without labels.

    Raises
    ------
    ConfigError
        If the run has no network of images.
    """
    current.require_network()
    if not inputs.bands:
        raise ConfigError(
            "Learning without labels needs images: augmentation makes the views.",
            hint="name a survey, or train on the catalogue with 'astrocnn train'",
        )
    config = current.config
    return estimators.Encoder(
        current.task,
        inputs,
        plugins.load("architectures", config.model.architecture),
        options=current.block_options,
        precision=config.prediction.precision,
        seed=config.seed,
    )


def get_options(current: Run, inputs: Inputs) -> dict[str, Any]:
    """Keyword arguments of `Encoder.fit`.

    Raises
    ------
    ConfigError
        If the augmentation would destroy what a label is about, or an option is unknown.
    """
    section = current.config.pretraining or PretrainingSection()
    bind_loss(section.method, section.options)
    steps = build_steps(section.augmentation)
    return {
        "method": plugins.load("pretraining", section.method),
        "method_options": section.options,
        "projector": section.projector,
        "augmentation": datasets.compose(steps, current.task, inputs),
        "start": current.start,
        "epochs": section.epochs,
        "batch_size": section.batch_size,
        "learning_rate": section.learning_rate,
        "precision": section.precision,
    }


def _write_report(
    current: Run, encoder: estimators.Encoder, history: dict[str, Any], n: int
) -> Iterator[str]:
    """Write a figure and a short report; yields what they show."""
    home, best = current.directory, encoder.history_.best_epoch
    figure = plot_pretraining(history, best)
    picture, _ = save_figure(figure, home.figures / "pretraining.png")
    last = {name: float(values[-1]) for name, values in history.items()}
    collapse = find_collapse(last)
    health = collapse or (
        f"No collapse: the relative standard deviation of the projections is "
        f"{last['projection_std']:.2f}, the effective rank of the features "
        f"{last['effective_rank']:.1f}."
    )
    sentences = [health]
    if "neighbor_accuracy" in last:
        first = float(history["neighbor_accuracy"][0])
        sentences.append(
            f"{last['neighbor_accuracy']:.1%} of labelled validation objects have the class of "
            f"most of their nearest training objects ({first:.1%} after the first epoch)."
        )
    rows = [[name, value] for name, value in encoder.facts.items()]
    rows += [["Objects", f"{n:,}"], ["Epochs", f"{len(encoder.history_)}"]]
    path = write_report(
        home.report,
        title=current.config.title,
        subtitle="Learning without labels",
        chapters=[
            Chapter(
                "Training",
                sentences,
                [Picture(figure, "Loss, spread and effective rank after each epoch.")],
                [Table(["", ""], rows)],
            )
        ],
    )
    yield from sentences
    yield f"figure: {picture}; report: {path}"
