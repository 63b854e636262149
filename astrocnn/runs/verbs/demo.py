"""``astrocnn demo``: the whole chain on a simulated survey, from tiles to the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from astrocnn.atomic import write_text
from astrocnn.errors import ConfigError
from astrocnn.runs.config import load_run
from astrocnn.runs.verbs import evaluate, predict, report, train
from astrocnn.simulation import CLASSES, simulate

__all__ = ["run"]

RUN_FILE = """\
# The demo: five kinds of simulated objects in four bands, from tiles to a table of predictions.
# Written by 'astrocnn demo'; run the steps by hand with
#   astrocnn train run.toml --out {out}/run
#   astrocnn predict {out}/run --out predictions.fits
title = "Morphology of a simulated survey"
survey = "survey/survey.toml"

[catalog]
file = "survey/catalog.fits"

[inputs]
size = 48                     # pixels
stretch = "asinh"

[task]
name = "morphology"
column = "morphology"
classes = {classes}

[model]
architecture = "plain8"
options = {{ width = 0.5 }}     # half as many filters: fits a laptop

[augmentation]
d4 = true

[training]
epochs = {epochs}
batch_size = 64
optimizer = "adamw"
learning_rate = 2e-3
schedule = "cosine"
warmup = 1

[prediction]
draws = 50

[evaluation]
cut = "mag_r"                 # a cut on magnitude stands beside the network
"""


def run(
    out: Path,
    *,
    seed: int = 0,
    objects: int = 2500,
    epochs: int = 15,
    say: Callable[..., Any] = print,
) -> Iterator[str]:
    """Simulate, cut, train, predict, score and report.

    Parameters
    ----------
    out : Path
        Folder to write; what is there already is not made again.
    seed : int
        Seed of the simulation.
    objects : int
        Number of simulated objects.
    epochs : int
        Length of the training.
    say : callable
        Told of each step as it begins.

    Raises
    ------
    ConfigError
        If `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"'{out}' is a file, not a folder.", hint="name another --out")
    start = time.perf_counter()
    sky = out / "survey"
    if not (sky / "survey.toml").is_file():
        say(f"simulating {objects} objects in four bands ...")
        simulate(sky, n_objects=objects, seed=seed, workers=None)
    run_file = out / "run.toml"
    classes = "[" + ", ".join(f'"{name}"' for name in CLASSES) + "]"
    write_text(run_file, RUN_FILE.format(out=out, classes=classes, epochs=epochs))
    folder = out / "run"
    config = load_run(run_file)
    for step in (
        lambda: train.run(config, folder),
        lambda: predict.run(folder, out=out / "predictions.fits"),
        lambda: evaluate.run(folder),
        lambda: report.run(folder),
    ):
        for line in step():
            say(line)
    yield f"done in {time.perf_counter() - start:.0f} s; open {folder / 'report.html'}"
