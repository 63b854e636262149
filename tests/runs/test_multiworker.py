"""One training in two processes, started by the same command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from .command import astrocnn


@pytest.mark.slow
def test_two_workers_share_one_run_directory(home, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "astrocnn.cli", "train", str(home / "run.toml")]
    command += ["--out", str(out), "--set", "training.strategy=multiworker"]
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("localhost", 0))
    hosts = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processes = [
        subprocess.Popen(
            command,
            env=os.environ
            | {
                "CUDA_VISIBLE_DEVICES": "-1",
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
                ),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        for process in processes:
            said, errors = process.communicate(timeout=400)
            assert process.returncode == 0, errors[-3000:]
            assert f"trained: {out / 'model'}" in "".join(said.splitlines())
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert not list(out.rglob(".tmp-*"))
    assert len((out / "history.csv").read_text().splitlines()) == 3
    assert "rows" in astrocnn("predict", out, "--out", tmp_path / "p.fits")
