"""A small run, and a way to give commands in this process."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from astrocnn.cli import main

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
