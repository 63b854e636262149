"""A small survey with a trained run, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from astrocnn.report.page import Picture
from astrocnn.simulation import simulate

from .command import RUN, astrocnn


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """A simulated survey with its run file, trained."""
    folder = tmp_path_factory.mktemp("home")
    simulate(folder / "sky", n_objects=160, seed=4, tile_size=600, invalid_rows=6)
    (folder / "run.toml").write_text(RUN)
    astrocnn("train", folder / "run.toml", "--out", folder / "run")
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """Reports have all their text, and figures that are not rendered, which takes seconds."""
    monkeypatch.setattr(Picture, "source", "data:,")
