"""CPU time of predictions by each architecture, for the page of costs in the documentation.

Each architecture is built as its paper has it, with random weights, and predicts images of noise:
one deterministic pass, and `DRAWS` Monte-Carlo dropout draws where it has dropout.  The cost is the
CPU time of all threads of the process, the least of several rounds, so that other programs on the
machine disturb it little.  The cost of reading a cutout, and of writing a row of the table, is that
of `python -m tests.benchmarks` on the same machine.

    python pipelines/prediction_costs.py --out data/prediction_costs.csv

About ten minutes on 2 CPU cores.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrocnn.atomic import replacing
from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.estimators._network import SCALAR_BLOCK, Forward
from astrocnn.estimators.base import BLOCK
from astrocnn.imaging import Inputs, Normalization
from astrocnn.models import with_precision
from astrocnn.models.build import ARCHITECTURES, build_model
from astrocnn.models.options import Options
from astrocnn.plugins import load_module, module_names
from astrocnn.targets import Task, make

DRAWS = 50
SECONDS = 4.0
FIELDS = ("architecture", "size", "channels", "precision", "pass_ms", "draws_ms")


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds an object."""

    architecture: str
    size: int
    channels: int
    precision: str
    pass_ms: float
    draws_ms: float | None


def measure(architecture: str, precision: str) -> Cost:
    """Measure one architecture at its published size."""
    reference = load_module(ARCHITECTURES, architecture).REFERENCE
    task: Task = make("morphology", classes=("elliptical", "spiral", "edge-on"), column="class")
    model = build_model(
        architecture,
        task,
        size=reference.size,
        n_channels=reference.n_channels,
        n_scalars=reference.n_scalars,
        options=Options(initializer="he_normal"),
    )
    if precision != "float32":
        model = with_precision(model, precision)
    bands = tuple(f"b{i}" for i in range(reference.n_channels))
    scalars = tuple(f"s{i}" for i in range(reference.n_scalars))
    inputs = Inputs(bands, reference.size, scalars=scalars)
    if bands:
        inputs = inputs.with_normalization(Normalization.identity(len(bands)))
    return Cost(
        architecture,
        reference.size,
        reference.n_channels,
        precision,
        _time(model, task, inputs, 0) * 1e3,
        _time_draws(model, task, inputs),
    )


def _time_draws(model: keras.Model, task: Task, inputs: Inputs) -> float | None:
    try:
        return _time(model, task, inputs, DRAWS) * 1e3
    except ModelError:  # a network without dropout
        return None


def _time(model: keras.Model, task: Task, inputs: Inputs, draws: int) -> float:
    predict = Forward(model, task, inputs, draws, 0, "one")
    rng = np.random.default_rng(0)
    # Predictions are made in blocks of this many objects.
    n, side = (BLOCK, inputs.size) if inputs.bands else (SCALAR_BLOCK, 0)
    images = rng.normal(size=(n, side, side, inputs.n_bands)).astype(np.float32)
    scalars = rng.normal(size=(n, len(inputs.scalars))).astype(np.float32)
    arguments = (images, scalars if inputs.scalars else None)
    predict(*arguments)
    return _least(lambda: predict(*arguments)) / n


def _least(call: Callable[[], object]) -> float:
    """Least CPU time [s] of a call that is repeated for `SECONDS`, once at least."""
    began, least = time.perf_counter(), np.inf
    while least == np.inf or time.perf_counter() - began < SECONDS:
        start = time.process_time()
        call()
        least = min(least, time.process_time() - start)
    return float(least)


def main() -> None:
    """Measure all architectures and write a CSV file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    costs = []
    for architecture in module_names(ARCHITECTURES):
        for precision in ("float32", "bfloat16"):
            costs.append(measure(architecture, precision))
            print(costs[-1], flush=True)
            keras.backend.clear_session()
    with replacing(out) as path, path.open("w", encoding="utf-8", newline="") as file:
        about = (platform.machine(), f"{os.cpu_count()} cores", time.strftime("%Y-%m-%d"))
        file.write(f"# {', '.join(about)}, {DRAWS} draws\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for cost in costs:
            draws = "" if cost.draws_ms is None else f"{cost.draws_ms:.3g}"
            row = (cost.architecture, cost.size, cost.channels, cost.precision)
            writer.writerow((*row, f"{cost.pass_ms:.3g}", draws))


if __name__ == "__main__":
    main()
