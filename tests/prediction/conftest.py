"""A survey in memory and an estimator of densities that needs no network."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.column import Column
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.prediction import chunks
from astrocnn.targets import Categorical, Target, Task
from astrocnn.targets.families.binned import Binned

SIZE, BANDS = 4, ("g", "r")
BROKEN = 7


class Photometric:
    """p(z) is a peak at the mean pixel, and a class; each draw of each member lies elsewhere."""

    precision = "float32"
    fingerprint = "photometric"

    def __init__(self, members=1, n_bins=30, targets=("z",)):
        numbers = [Target(name, Binned(0.0, 1.5, n_bins), name) for name in targets]
        kind = Target("kind", Categorical(("star", "galaxy")), "kind")
        self.task = Task("photometric", (*numbers, kind), f"{targets[0]}.sigma_mad")
        self.inputs = Inputs(bands=BANDS, size=SIZE)
        self.members, self.calls, self.rows = members, 0, []

    def sample(self, images, scalars=None, *, draws=0, seed=0, views="one"):
        self.calls += 1
        self.rows.append(len(images))
        mean = np.nanmean(images, axis=(1, 2, 3), dtype=np.float64)
        rng = np.random.default_rng(seed)
        shifts = rng.normal(0, 0.05, self.members * max(draws, 1))
        place = (mean + shifts[:, None])[..., None]
        found = {"kind": np.stack([1 - mean, mean], -1) + 0 * place}
        for number, target in enumerate(self.task.targets[:-1]):
            edges = target.family.edges
            centers = (edges[:-1] + edges[1:]) / 2
            width = 0.05 * (1 + number)
            peak = np.exp(-0.5 * ((centers - place) / width) ** 2)
            found[target.name] = peak / peak.sum(axis=-1, keepdims=True)
        return {name: values.astype(np.float32) for name, values in found.items()}


class Brightness:
    """An extra with a float and a text."""

    fingerprint = "brightness-1"

    def columns(self):
        return (
            Column("brightness", "f4", "", "phot.flux", "Sum of the pixels"),
            Column("side", "U6", "", "meta.code", "Half of the sky"),
        )

    def compute(self, batch):
        north = batch.catalog.dec > 0
        return {
            "brightness": np.nansum(batch.images, axis=(1, 2, 3)),
            "side": np.where(north, "north", "south"),
        }


class Counted:
    """An extra with integers and a truth value."""

    fingerprint = "counted-1"

    def __init__(self):
        self.absent = {"n_modes": -5}

    def columns(self):
        return (
            Column("n_samples", "i8", "", "meta.number", "Number of samples"),
            Column("n_modes", "i2", "", "meta.number", "Number of modes"),
            Column("selected", "bool", "", "meta.code", "Whether z is low"),
        )

    def compute(self, batch):
        samples = batch.samples["z"]
        n = len(batch)
        return {
            "n_samples": np.full(n, len(samples)),
            "n_modes": np.argmax(samples[0], axis=-1),
            "selected": batch.columns["z_mean"] < 0.5,
        }


def make_survey(n=300, text=False, broken=True, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.choice(2**62, n, replace=False) * rng.choice([-1, 1], n)
    if text:
        ids = np.array([f"J{number:+d}" for number in ids.tolist()])
    table = Table({"OBJECT_ID": ids, "RA": rng.uniform(0, 360, n), "DEC": rng.uniform(-90, 90, n)})
    images = rng.uniform(0.1, 0.9, (n, SIZE, SIZE, len(BANDS))).astype(np.float32)
    images *= rng.uniform(0.5, 1.2, n)[:, None, None, None]
    if broken:
        images[BROKEN] = np.nan
    source = ArraySource(images, bands=BANDS)
    order = rng.permutation(n)
    source.order = lambda: order
    return Catalog.from_table(table), source


@pytest.fixture
def fake(monkeypatch):
    """The classes above; chunks hold 64 rows."""
    monkeypatch.setattr(chunks, "_MAX_ROWS", 64)
    return SimpleNamespace(
        Photometric=Photometric,
        Brightness=Brightness,
        Counted=Counted,
        survey=make_survey,
        broken=BROKEN,
    )


@pytest.fixture(scope="session")
def run():
    """Run a program that may be absent; the test is skipped, and says so, where it is."""

    def call(program, *arguments):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian package {program})")
        done = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call
