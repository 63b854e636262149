"""The chapters of a report on data, model, training and provenance, from plain arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrocnn.evaluation import figures
from astrocnn.flags import Flag
from astrocnn.report.page import Chapter, Picture, Table

__all__ = ["data_chapter", "model_chapter", "provenance_chapter", "training_chapter"]


def data_chapter(
    *,
    splits: Mapping[str, Mapping[str, Mapping[str, int]]],
    rows: Mapping[str, int],
    flags: Any = None,
    facts: Mapping[str, object] | None = None,
) -> Chapter:
    """What went in.

    Parameters
    ----------
    splits : mapping of str to mapping
        Split to target to number of labelled objects by class (`Task.tally`).
    rows : mapping of str to int
        Split to its number of rows.
    flags : array_like of int of shape (n,), optional
        Flags of all rows, decoded into sentences.
    facts : mapping of str to object, optional
        Survey, bands, stamp size, pixel scale and the like.
    """
    tables = [_facts(facts)] if facts else []
    body = [["rows", *(f"{rows.get(split, 0):,}" for split in splits)]]
    targets = list(dict.fromkeys(name for found in splits.values() for name in found))
    for name in targets:
        kinds = list(dict.fromkeys(k for f in splits.values() for k in f.get(name, {})))
        for kind in kinds:
            counts = [f"{f.get(name, {}).get(kind, 0):,}" for f in splits.values()]
            body.append([f"{name}: {kind}", *counts])
    tables.append(Table(["Objects", *splits], body, "Objects with a label, by split", True))
    if flags is not None:
        flags = np.asarray(flags)
        found = [
            [flag.sentence, f"{count:,}", f"{100 * count / max(len(flags), 1):.1f} %"]
            for flag in Flag
            if (count := int(((flags & flag.value) != 0).sum()))
        ]
        if found:
            tables.append(Table(["Flag", "rows", "share"], found, "Rows with a flag", True))
        else:
            tables.append(Table(["Flag", "rows"], [["none", f"{len(flags):,}"]], "", True))
    return Chapter("Data", tables=tables)


def model_chapter(
    *,
    facts: Mapping[str, object],
    layers: Sequence[tuple[str, str, str, int]] = (),
) -> Chapter:
    """What was trained.

    Parameters
    ----------
    facts : mapping of str to object
        Architecture, number of parameters, options.
    layers : sequence of (name, kind, output shape, parameters)
        The layers in order.
    """
    tables = [_facts(facts)]
    if layers:
        rows = [[name, kind, shape, f"{n:,}"] for name, kind, shape, n in layers]
        tables.append(Table(["Layer", "Kind", "Output", "Parameters"], rows, "Layers", True))
    return Chapter("Model", tables=tables)


def training_chapter(
    history: Mapping[str, Any],
    *,
    best_epoch: int | None = None,
    facts: Mapping[str, object] | None = None,
) -> Chapter:
    """How it went, epoch by epoch."""
    figure = figures.plot_learning_curve(history, best_epoch)
    best = "" if best_epoch is None else f" The weights kept are those of epoch {best_epoch}."
    caption = f"Training and validation by epoch.{best}"
    tables = [_facts(facts)] if facts else []
    return Chapter("Training", figures=[Picture(figure, caption, caption)], tables=tables)


def provenance_chapter(facts: Mapping[str, object]) -> Chapter:
    """Versions, seeds and fingerprints: what it takes to do it again."""
    return Chapter("Provenance", tables=[_facts(facts)])


def _facts(facts: Mapping[str, object]) -> Table:
    return Table(["", ""], [[str(k), str(v)] for k, v in facts.items()])
