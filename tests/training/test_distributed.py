"""The same training on one device, on two devices, and in two processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parents[1]


def _start(*kinds_and_paths: str | Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "training.distributed", *map(str, kinds_and_paths)],
        cwd=TESTS,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(processes: list[subprocess.Popen]) -> None:
    try:
        for process in processes:
            _, errors = process.communicate(timeout=400)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def alone_and_mirrored(tmp_path_factory) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Trained by one process, since TensorFlow is slow to start."""
    alone, mirrored = (tmp_path_factory.mktemp("one") / f"{n}.npz" for n in ("alone", "two"))
    _finish([_start("one", alone, "mirrored", mirrored)])
    return _load(alone), _load(mirrored)


@pytest.fixture(scope="module")
def alone(alone_and_mirrored) -> dict[str, np.ndarray]:
    return alone_and_mirrored[0]


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _assert_same_training(found: dict[str, np.ndarray], alone: dict[str, np.ndarray]) -> None:
    assert int(alone["replicas"]) == 1
    assert int(found["replicas"]) == 2
    for name, values in alone.items():
        if name.startswith("norm/"):
            assert found[name].shape == values.shape
            # Batch normalization is over the part of each replica: another, but a finite, result.
            assert np.isfinite(found[name]).all(), name
        elif name != "replicas":
            np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)
    raw = [name for name in found if "raw" in name and not name.endswith("locally")]
    assert len(raw) == 6
    for name in raw:
        assert found[name].shape == alone[name].shape
        np.testing.assert_allclose(found[name], found[f"{name} locally"], atol=1e-6)


def test_two_devices_follow_the_path_of_one(alone_and_mirrored):
    alone, mirrored = alone_and_mirrored
    _assert_same_training(mirrored, alone)


@pytest.mark.slow
def test_two_processes_follow_the_path_of_one(tmp_path, alone):
    hosts = [f"localhost:{port}" for port in _free_ports(2)]
    paths = [tmp_path / "worker-first.npz", tmp_path / "worker-second.npz"]
    workers = [
        _start(
            "multiworker",
            path,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index, path in enumerate(paths)
    ]
    _finish(workers)
    for path in paths:
        _assert_same_training(_load(path), alone)
    first, second = (_load(path) for path in paths)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)
