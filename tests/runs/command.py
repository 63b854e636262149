"""A small run, and a way to give commands in this process."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from astrocnn.cli import main
from astrocnn.runs.config import load_run
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.cutouts import write_cutouts

MODEL = """
architecture = "euclid_quality"
options = { width = 0.25, normalization = "batch", head_dropout = 0.5 }
"""
RUN = f"""
title = "a small survey"
survey = "sky/survey.toml"

[catalog]
file = "sky/catalog.fits"

[inputs]
size = 24

[split]
fractions = [0.6, 0.2, 0.2]

[task]
name = "morphology"
column = "morphology"
classes = ["elliptical", "spiral", "edge_on", "merger", "star"]

[model]{MODEL}
[training]
epochs = 2
learning_rate = 2e-3

[prediction]
draws = 4
precision = "float32"

[evaluation]
cut = "mag_r"
"""


def astrocnn(*arguments, code=0):
    """Run a command in this process; what it printed."""
    said = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        patch.setattr(sys, "argv", ["astrocnn", *map(str, arguments)])
        try:
            main()
        except SystemExit as done:
            assert (done.code or 0) == code, said.getvalue()
        else:
            assert code == 0, said.getvalue()
    return said.getvalue()


def untrained(folder: Path, text: str) -> Path:
    """A run whose network has the weights it began with, which can be explained as well."""
    (folder / "run.toml").write_text(text)
    config = load_run(folder / "run.toml")
    run = Run(config, RunDirectory.create(folder / "run", config))
    write_cutouts(run)
    rows = np.arange(len(run.shards))
    run.rows = {"train": rows}
    run.fit_inputs()
    estimator = run.untrained
    if estimator.inputs.scalars:
        values = run.shards.scalars(estimator.inputs.scalars)
        estimator.inputs = estimator.inputs.with_scalar_statistics(values)
    estimator._adopt(estimator.network)
    estimator.bfloat16_change_ = 1.0
    estimator.save(run.directory.model)
    return run.directory.path
