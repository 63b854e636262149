"""A small run, and a way to give commands in this process."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from astrocnn.cli import main
from astrocnn.datasets import Shards
from astrocnn.runs.assemble import estimator_of, task_of
from astrocnn.runs.config import load_run
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.verbs.cutouts import make_shards
from astrocnn.runs.verbs.train import trained_inputs

RUN = """
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

[model]
architecture = "plain8"
options = { width = 0.25 }

[training]
epochs = 2
learning_rate = 2e-3

[prediction]
draws = 4

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
    home = RunDirectory.create(folder / "run", config)
    make_shards(config, home)
    shards = Shards.open(home.shards)
    task = task_of(config)
    inputs = trained_inputs(config, shards, np.arange(len(shards)))
    if inputs.scalars:
        inputs = inputs.with_scalar_statistics(shards.scalars(inputs.scalars))
    network = estimator_of(config, task, inputs)
    network._adopt(network._untrained())
    network.bfloat16_change_ = 1.0
    network.save(home.model)
    return home.path
