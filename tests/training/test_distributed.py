"""The same training on one device, on two devices, and in two processes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.simulation import simulate
from tests import kills, processes
from tests.runs.command import astrocnn

from . import distributed


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """All trainings, in processes at the same time, and a run that two of them trained together."""
    folder = tmp_path_factory.mktemp("distributed")
    simulate(folder / "sky", n_objects=60, seed=4, tile_size=400)
    (folder / "tiny.py").write_text(kills.ARCHITECTURE)
    (folder / "run.toml").write_text(kills.RUN)
    command = (
        *("train", str(folder / "run.toml"), "--out", str(folder / "run")),
        *("--set", "training.epochs=2", "--set", "training.strategy=multiworker"),
    )
    hosts = [f"localhost:{port}" for port in _find_free_ports(2)]
    log = folder / "log"
    # Another worker starts from other weights, which must not matter.
    workers = [
        processes.start(
            log,
            distributed.main,
            *("multiworker", folder / f"worker-{index}.npz", index, command),
            XDG_CACHE_HOME=str(folder / "cache"),
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]
    mirrored = processes.start(log, distributed.main, "mirrored", folder / "mirrored.npz")
    distributed.main("one", folder / "alone.npz")
    processes.finish(log, mirrored, *workers)
    return folder


def _find_free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return dict(stored)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirrored", "worker-0", "worker-1"])
def test_two_devices_and_two_processes_follow_the_path_of_one(folder, name):
    found, alone = _load(folder / f"{name}.npz"), _load(folder / "alone.npz")
    assert int(alone["replicas"]) == 1
    assert int(found["replicas"]) == 2
    for name, values in alone.items():
        if name != "replicas":
            np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)
    # Batch normalization is over the part of each replica: another, but a finite, result.
    norm = [name for name in found if name.startswith("norm/")]
    assert len(norm) > 10 and all(np.isfinite(found[name]).all() for name in norm)
    raw = [name for name in found if "raw" in name and not name.endswith("locally")]
    assert len(raw) == 6
    for name in raw:
        assert len(found[name]) == 41
        np.testing.assert_allclose(found[name], found[f"{name} locally"], atol=1e-6)


@pytest.mark.slow
def test_two_processes_have_the_same_weights(folder):
    first, second = (_load(folder / f"worker-{index}.npz") for index in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


@pytest.mark.slow
def test_two_workers_share_one_run_directory(folder, monkeypatch):
    """One training in two processes, started by the same command."""
    out = folder / "run"
    said = "".join((folder / "log").read_text().split())
    assert said.count(f"trained:{out / 'model'}") == 2
    assert not list(out.rglob(".tmp-*"))
    assert len((out / "history.csv").read_text().splitlines()) == 3
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    astrocnn("predict", out, "--out", folder / "p.fits")
    assert len(Table.read(folder / "p.fits", hdu=1)) == len(Table.read(folder / "sky/catalog.fits"))
