"""``astrocnn diagnose``: checks of labels, inputs and the untrained network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from astrocnn import datasets, estimators
from astrocnn.datasets import read_labels
from astrocnn.runs.run import Run
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.verbs.find_lr import prepare, save_figure
from astrocnn.terminal import build_table
from astrocnn.training.diagnostics import (
    Finding,
    LayerStatistics,
    check_balance,
    check_contradictions,
    check_finite,
    check_initial_loss,
    check_inputs,
    check_layers,
    check_leakage,
    check_overfit,
    check_symmetry,
    compute_layer_statistics,
    plot_layers,
)

__all__ = ["run"]

_BATCH = 64
_EXAMPLES = 20


def run(config: RunConfig, out: Path) -> tuple[Table, bool, Path | None]:
    """Check labels, inputs and the untrained network; no trained weights are kept.

    Returns
    -------
    findings : rich Table
        One line for each question.
    good : bool
        Whether all is well.
    figure : Path or None
        Activations and gradients by layer, also of the trained network if the folder has one; no
        figure where the network yields no numbers.
    """
    current = prepare(config, out)
    folder = current.directory
    findings = [*_labels(current)]
    batch = _batch(current, _BATCH)
    stages: dict[str, list[LayerStatistics]] = {}
    findings += _network(current, batch, stages)
    if stages:
        families = {t.name: t.family for t in current.task.targets}
        few = _batch(current, _EXAMPLES)
        findings.append(check_overfit(current.network, few, families))
    figure = None
    if stages:
        if folder.model.exists():
            stages |= _trained(batch, current, stages["at the start"])
        figure, _ = save_figure(plot_layers(stages), folder.figures / "layers.png")
    table = build_table(config.title, ("", "", ""))
    for finding in findings:
        mark = Text("ok", "green") if finding.passed else Text("look", "red")
        table.add_row(mark, finding.check, finding.message)
    return table, all(finding.passed for finding in findings), figure


def _labels(current: Run) -> Iterator[Finding]:
    shards, task = current.shards, current.task
    train = current.rows["train"]
    for name, tally in task.tally(*read_labels(shards, task, train)).items():
        finding = check_balance(tally)
        yield Finding(finding.check, finding.passed, f"{name}: {finding.message}")
    used = np.sort(np.concatenate(list(current.rows.values())))
    content = np.asarray(shards.content)[used]
    encoded, weights = read_labels(shards, task, used)
    for name in task.names:
        finding = check_contradictions(content, encoded[name], weights[name])
        yield Finding(finding.check, finding.passed, f"{name}: {finding.message}")
    split = current.shard_splits[used]
    catalog = shards.catalog
    place = {}
    if catalog.ra is not None and catalog.dec is not None:
        place = {"ra": catalog.ra[used], "dec": catalog.dec[used]}
    yield check_leakage(split, content, **place)


def _batch(current: Run, size: int) -> Any:
    """The first batch of training objects in a shuffled order, not augmented."""
    rows = current.rows["train"]
    options = {"batch_size": size, "shuffle": True, "seed": current.config.seed}
    return next(
        iter(
            datasets.build_dataset(
                current.shards, rows, current.task, current.untrained.inputs, **options
            )
        )
    )


def _network(
    current: Run, batch: Any, stages: dict[str, list[LayerStatistics]]
) -> Iterator[Finding]:
    families = {t.name: t.family for t in current.task.targets}
    losses = {name: family.loss for name, family in families.items()}
    yield check_inputs(batch[0])
    finite = check_finite(current.network, batch[0])
    yield finite
    if not finite.passed:
        return
    yield from check_initial_loss(current.network, batch, families)
    stages["at the start"] = compute_layer_statistics(current.network, batch, losses)
    yield from check_layers(stages["at the start"])
    yield check_symmetry(current.network, batch, losses)


def _trained(
    batch: Any, current: Run, first: list[LayerStatistics]
) -> dict[str, list[LayerStatistics]]:
    """Statistics of the trained network, if it has the same layers."""
    model = getattr(estimators.load_estimator(current.directory.model), "model_", None)
    if model is None or model.input_shape != current.network.input_shape:
        return {}
    losses = {t.name: t.family.loss for t in current.task.targets}
    after = compute_layer_statistics(model, batch, losses)
    return {"trained": after} if len(after) == len(first) else {}
