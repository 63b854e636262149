"""A user's own architecture, task, family, augmentation and source, named in a run file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.stats import laplace

from astrocnn import plugins
from astrocnn.errors import ConfigError
from astrocnn.estimators import load_estimator
from astrocnn.prediction import read_pdf
from astrocnn.runs.config import dump_portable, list_leaves, load_run
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.run import Run
from tests.targets.test_own_family import LAPLACE

from .command import astrocnn

NET = """
HEAD_DROPOUT = 0.25

def features(image, scalars, block):
    x = block.conv(image, 8, 3)
    return block.global_pool(x, scalars)
"""
TASK = """
from astrocnn import Target, Task
from astrocnn.targets import Categorical

def task(column):
    family = Categorical(("star", "galaxy"))
    return Task("shape", (Target("shape", family, column),), "shape.accuracy")
"""
STEP = """
import dataclasses
import tensorflow as tf

@dataclasses.dataclass(frozen=True)
class Offset:
    amount: float = 0.0
    breaks = frozenset()

    def __call__(self, images, seed):
        return images + self.amount * tf.random.stateless_normal([], seed)
"""
SOURCE = """
import numpy as np
from astrocnn.imaging import ArraySource

def blobs(survey, *, ra, dec, columns, size):
    y, x = np.indices((size, size)) - (size - 1) / 2
    rng = np.random.default_rng(0)
    width = np.where(np.asarray(columns["kind"]) == "star", 1.0, 3.0) / survey.options["sharpness"]
    images = np.exp(-(x**2 + y**2) / (2 * width[:, None, None] ** 2))
    images = images + rng.normal(0, 0.05, images.shape)
    return ArraySource(images[..., None].astype("f4"), ["r"], pixel_scale=0.2, unit="nJy")
"""
RUN = """
title = "leaves of my own"
[survey]
kind = "my_source.py:blobs"
bands = ["r"]
image = "made up"
options = { sharpness = 1.0 }


[catalog]
file = "objects.fits"

[inputs]
size = 12

[task]
name = "my_task.py:task"
column = "kind"

[model]
architecture = "my_net.py:features"

[augmentation]
steps = [{ name = "my_step.py:Offset", amount = 0.01 }]

[training]
epochs = 3
learning_rate = 1e-2

[prediction]
draws = 3
precision = "float32"
"""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(plugins, "_trusted", set())
    return tmp_path / "cache"


@pytest.fixture
def place(tmp_path, cache) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in (("net", NET), ("task", TASK), ("step", STEP), ("source", SOURCE)):
        (folder / f"my_{name}.py").write_text(text)
    (folder / "run.toml").write_text(RUN)
    n = 200
    kind = np.where(np.arange(n) % 2, "star", "galaxy")
    Table({"id": np.arange(1, n + 1), "kind": kind}).write(folder / "objects.fits")
    return folder


@pytest.mark.slow
def test_from_run_file_to_scores(place, monkeypatch, tmp_path, no_pictures):
    out = tmp_path / "run"
    shown = astrocnn("check", place / "run.toml")
    assert "my_net" in shown and "wrong" not in shown
    astrocnn("train", place / "run.toml", "--out", out)
    names = sorted(p.name.rpartition("-")[0] for p in (out / "leaves").iterdir())
    assert names == ["my_net", "my_source", "my_step", "my_task"]
    assert [p.name.rpartition("-")[0] for p in (out / "model/leaves").iterdir()] == ["my_net"]
    # The run does not need the files it was made from any more.
    for path in place.glob("my_*.py"):
        path.unlink()
    shown = astrocnn("evaluate", out)
    assert "shape: 19 objects" in shown and "most frequent class" in shown
    table = tmp_path / "predictions.fits"
    astrocnn("predict", out, "--out", table)
    found = Table.read(table, hdu="PREDICTIONS")
    assert len(found) == 200
    truth = Table.read(place / "objects.fits")["kind"]
    assert np.mean(found["shape_class"].astype(str) == truth) > 0.9  # a star is three times sharper
    astrocnn("report", out)
    assert "my_net" in (out / "report.html").read_text()

    # On the machine of somebody else none of it runs until it is allowed.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(plugins, "_trusted", set())
    theirs = tmp_path / "theirs"
    shutil.copytree(out, theirs)
    (net,) = (theirs / "model/leaves").glob("my_net-*.py")
    shown = astrocnn("predict", theirs, "--out", tmp_path / "again.fits", code=2)
    assert "not trusted" in shown and "--plugin" in shown
    allowed = [f"--plugin={path}" for path in (theirs / "leaves").iterdir()]
    shown = astrocnn("predict", theirs, "--out", tmp_path / "again.fits", *allowed)
    again = Table.read(tmp_path / "again.fits", hdu="PREDICTIONS")
    assert np.array_equal(again["shape_p_star"], found["shape_p_star"])
    assert net.is_file()


def test_changed_file_is_another_run(place, tmp_path):
    config = load_run(place / "run.toml")
    RunDirectory.create(tmp_path / "run", config)
    RunDirectory.create(tmp_path / "run", load_run(place / "run.toml"))
    (place / "my_net.py").write_text(NET.replace("8, 3", "4, 3"))
    with pytest.raises(ConfigError, match=r"another run; it differs in: model\.architecture"):
        RunDirectory.create(tmp_path / "run", load_run(place / "run.toml"))


def test_leaves_of_a_run_are_copied_and_found(place, tmp_path):
    config = load_run(place / "run.toml")
    leaves = dict(list_leaves(config))
    assert leaves["architectures"] == f"{place / 'my_net.py'}:features"
    assert set(leaves) == {"tasks", "architectures", "augmentations", "sources"}
    text, files = dump_portable(config)
    assert len(files) == 4 and str(place / "my_net.py") not in text
    run = RunDirectory.create(tmp_path / "run", config)
    inside = dict(list_leaves(run.config()))
    assert Path(inside["architectures"].rpartition(":")[0]).parent == tmp_path / "run/leaves"
    # A copy of a copy has the same name, so that the run can be made again from its config.toml.
    assert dump_portable(run.config()) == (text, files)


def test_stranger_s_run_directory_runs_nothing(place, tmp_path, monkeypatch):
    RunDirectory.create(tmp_path / "run", load_run(place / "run.toml"))
    monkeypatch.setattr(plugins, "_trusted", set())
    shutil.rmtree(tmp_path / "cache")
    run = Run.open(tmp_path / "run")
    for make in ("task", "source", "untrained"):
        with pytest.raises(ConfigError, match="not trusted on this machine"):
            getattr(run, make)


@pytest.mark.parametrize("leaf", ["os:system", "subprocess:getoutput"])
def test_stranger_names_what_is_installed(place, tmp_path, leaf):
    run = RunDirectory.create(tmp_path / "run", load_run(place / "run.toml"))
    text = run.config_file.read_text()
    name = Run.open(run.path).config.task.name.rpartition("/")[2]
    text = text.replace(f"leaves/{name}", leaf).replace('column = "kind"', 'command = "touch x"')
    run.config_file.write_text(text)
    assert Run.open(run.path).config.task.name == leaf
    with pytest.raises(ConfigError, match=f"(?s)not trusted.*--plugin {leaf}"):
        _ = Run.open(run.path).task


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("my_net.py:features", "my_nett.py:features", r"model.architecture: .*does not exist"),
        ("my_net.py:features", "lenett", "there is no 'lenett'; did you mean 'lenet'"),
        ("my_net.py:features", "my_net.py:", "malformed"),
        ("my_task.py:task", "nowhere.py:task", r"task.name: .*does not exist"),
        ('name = "my_step.py:Offset", ', "", "a step is a leaf or a table"),
        ("my_step.py:Offset", "sharpen", r"augmentation.steps.*there is no 'sharpen'"),
    ],
)
def test_mistakes_in_references(place, old, new, message):
    text = RUN.replace(old, new)
    assert text != RUN
    (place / "run.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_run(place / "run.toml")


def test_attribute_that_is_not_there_is_told_by_check(place):
    (place / "run.toml").write_text(RUN.replace("py:features", "py:feature"))
    shown = astrocnn("check", place / "run.toml", code=1)
    assert "did you mean 'features'" in shown


FAMILY_RUN = """
title = "a distribution of my own"

[catalog]
file = "objects.fits"

[inputs]
scalars = ["color", "mag"]

[task]
name = "photoz"
column = "z"
range = [0.0, 1.0]
family = "my_family.py:Laplace"
sharpness = 3.0

[model]
architecture = "ann"
options = { width = 4, head_dropout = 0.1 }

[training]
epochs = 30
batch_size = 20
learning_rate = 1e-2

[prediction]
draws = 3
precision = "float32"
pdf = "float32"
"""


def test_family_goes_through_all_commands(tmp_path, cache, no_pictures):
    folder, run = tmp_path / "mine", tmp_path / "run"
    folder.mkdir()
    (folder / "my_family.py").write_text(LAPLACE)
    (folder / "run.toml").write_text(FAMILY_RUN)
    rng = np.random.default_rng(0)
    n = 200
    z = rng.uniform(0.1, 0.9, n)
    table = Table({"id": np.arange(n) - 3, "color": 2 * z + rng.normal(0, 0.05, n), "z": z})
    table["mag"] = 20 + rng.normal(0, 1, n)
    table.write(folder / "objects.fits")
    shown = astrocnn("check", folder / "run.toml")
    assert "astrocnn train" in shown and "wrong" not in shown
    astrocnn("train", folder / "run.toml", "--out", run)
    # The copies in the run and in its model are enough from here on.
    (folder / "my_family.py").unlink()
    assert [p.name.rpartition("-")[0] for p in (run / "leaves").iterdir()] == ["my_family"]
    assert "CRPS" in astrocnn("evaluate", run)
    scores = json.loads((run / "scores.json").read_text())
    found = {s["name"]: s["value"] for s in scores["scores"]}
    prior = {s["name"]: s["value"] for s in scores["baselines"]["Prior"]}
    assert found["crps"] < 0.5 * prior["crps"]
    out = tmp_path / "p.fits"
    astrocnn("predict", run, "--out", out)
    predicted = Table.read(out, hdu="PREDICTIONS")
    assert np.corrcoef(predicted["z_median"], z)[0, 1] > 0.9
    # The density of one draw of the family is that of scipy.
    family = load_estimator(run / "model").task.target("z").family
    assert (type(family).__name__, family.sharpness) == ("Laplace", 3.0)
    one = np.array([[[0.4, 0.05]]])
    # The first and the last bin hold what is beyond them.
    below = np.r_[0, laplace.cdf(family.edges[1:-1], 0.4, 0.05), 1]
    np.testing.assert_allclose(family.masses(one)[0, 0], np.diff(below), atol=1e-6)
    _, grid, density = read_pdf(out)
    np.testing.assert_allclose(density.sum(axis=1) * (grid[1] - grid[0]), 1, atol=1e-5)
    astrocnn("explain", run, "--per-class", 2, "--methods", "integrated_gradients,occlusion")
    diagnostics = Table.read(run / "explanations/diagnostics.fits", hdu=1)
    assert set(diagnostics["method"]) == {"integrated_gradients", "occlusion"}
    first = next((run / "explanations/objects").iterdir())
    with fits.open(first) as hdus:
        assert hdus[1].header["OUTPUT"] == "mean of z"
        # The color tells the redshift, the magnitude does not.
        color, magnitude = np.abs(hdus[1].data["occlusion"])
    assert color > magnitude
    astrocnn("report", run)
    page = (run / "report.html").read_text()
    assert "a distribution of my own" in page and "CRPS" in page and ">Attribution<" in page
