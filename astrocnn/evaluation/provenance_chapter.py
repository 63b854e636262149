"""Chapters of a report on the data, the training, the model and its provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from astrocnn.evaluation import figures
from astrocnn.flags import Flag
from astrocnn.report.page import Chapter, Picture, Table

__all__ = ["data_chapter", "model_chapter", "provenance_chapter", "training_chapter"]


def data_chapter(
    *,
    splits: Mapping[str, Mapping[str, Mapping[str, int]]],
    rows: Mapping[str, int],
    flags: ArrayLike | None = None,
    facts: Mapping[str, object] | None = None,
) -> Chapter:
    """The data set: survey, splits, labels and flags.

    Parameters
    ----------
    splits, rows : mapping
        Number of labelled objects by split, target and class (`Task.tally`), and of rows by split.
    flags : array_like of int of shape (n,), optional
        Flags of all rows.
    facts : mapping of str to object, optional
        Survey, bands, stamp size, pixel scale and the like.
    """
    tables = [_facts_table(facts)] if facts else []
    body = [["All rows", *(f"{rows.get(split, 0):,}" for split in splits)]]
    for name in dict.fromkeys(name for tally in splits.values() for name in tally):
        for kind in dict.fromkeys(k for tally in splits.values() for k in tally.get(name, {})):
            counts = (f"{tally.get(name, {}).get(kind, 0):,}" for tally in splits.values())
            body.append([f"{name}: {kind}", *counts])
    tables.append(Table(["Objects", *splits], body, "Labelled objects by split", numeric=True))
    if flags is not None:
        tables.append(_flags_table(np.asarray(flags)))
    return Chapter("Data", tables=tables)


def _flags_table(flags: np.ndarray) -> Table:
    counts = {flag.sentence: int(((flags & flag.value) != 0).sum()) for flag in Flag}
    body = [
        [sentence, f"{count:,}", f"{100 * count / len(flags):.1f}\u00a0%"]
        for sentence, count in counts.items()
        if count
    ] or [["No flags", f"{len(flags):,}", ""]]
    return Table(["Flag", "rows", "fraction"], body, "Flags", numeric=True)


def training_chapter(
    history: Mapping[str, ArrayLike], *, facts: Mapping[str, object] | None = None
) -> Chapter:
    """Learning curves, and the epoch with the lowest loss, whose weights are kept.

    Parameters
    ----------
    history : mapping of str to array_like of shape (n_epochs,)
        Losses and metrics by epoch; ``epoch``, ``seconds`` and ``learning_rate`` become facts.
    facts : mapping of str to object, optional
        More facts, about transfer learning for instance.
    """
    columns = {name: np.asarray(values, np.float64) for name, values in history.items()}
    loss = columns["val_loss"] if "val_loss" in columns else columns["loss"]
    epoch = columns.get("epoch", np.arange(1, len(loss) + 1))
    best = int(epoch[np.nanargmin(loss)])
    summary: dict[str, object] = {"Epochs": len(loss)}
    if "seconds" in columns:
        summary["Time"] = f"{columns['seconds'].sum():.0f} s"
    if "learning_rate" in columns:
        summary["Highest learning rate"] = f"{columns['learning_rate'].max():.3g}"
    curves = {k: v for k, v in columns.items() if k not in ("seconds", "learning_rate")}
    caption = (
        "Learning curves of the training and validation splits. The weights of epoch "
        f"{best} were kept."
    )
    picture = Picture(figures.plot_learning_curve(curves, best), caption)
    table = _facts_table({**summary, **(facts or {})})
    return Chapter("Training", figures=[picture], tables=[table])


def model_chapter(
    *, facts: Mapping[str, object], layers: Sequence[tuple[str, str, str, int]] = ()
) -> Chapter:
    """The model and its layers.

    Parameters
    ----------
    facts : mapping of str to object
        Architecture, number of parameters, options.
    layers : sequence of (name, class, output shape, parameters)
        The layers in order.
    """
    tables = [_facts_table(facts)]
    if layers:
        rows = [[name, kind, shape, f"{n:,}"] for name, kind, shape, n in layers]
        columns = ["Layer", "Class", "Output shape", "Parameters"]
        tables.append(Table(columns, rows, f"Layers ({len(layers)})", numeric=True, folded=True))
    return Chapter("Model", tables=tables)


def provenance_chapter(facts: Mapping[str, object]) -> Chapter:
    """Versions, seeds and checksums that reproduce the run."""
    return Chapter("Provenance", tables=[_facts_table(facts)])


def _facts_table(facts: Mapping[str, object]) -> Table:
    return Table(["", ""], [[str(k), str(v)] for k, v in facts.items()])
