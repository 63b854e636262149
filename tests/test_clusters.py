"""A queueing system that is not there: dask-jobqueue calls programs that stand in for SLURM."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from astrocnn.clusters import CLUSTERS, ClusterFile, open_scheduler
from astrocnn.errors import ClusterError
from astrocnn.scheduling import run_tasks
from astrocnn.stored_files import read_toml, validate

jobqueue = pytest.importorskip("dask_jobqueue", reason="the extra 'survey' is not installed")
PIPELINES = Path(__file__).parents[1] / "pipelines"

SBATCH = """#!/bin/bash
echo "sbatch $(grep -c SBATCH "$1")" >> "$QUEUE/calls"
# The script is removed as soon as this program ends: a copy is run, as by SLURM.
cp "$1" "$QUEUE/script"
setsid bash "$QUEUE/script" > "$QUEUE/output" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
echo "scancel $1" >> "$QUEUE/calls"
kill -9 -- "-$1"
"""
CLUSTER = """
[cluster]
kind = "slurm"
jobs = {jobs}
wait = {wait}

[cluster.options]
cores = 2
processes = 1
memory = "1GB"
walltime = "00:10:00"
queue = "short"
interface = "lo"
scheduler_options = {{ dashboard_address = "127.0.0.1:0", host = "127.0.0.1" }}
local_directory = "{folder}"
log_directory = "{folder}"
"""


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A folder that stands in for a queueing system."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("QUEUE", str(tmp_path))
    return tmp_path


def write(folder, **values):
    path = folder / "cluster.toml"
    path.write_text(CLUSTER.format(folder=folder, **values))
    return str(path)


def test_jobs_are_submitted_compute_and_are_cancelled(queue):
    with open_scheduler(write(queue, jobs=1, wait=300)) as client:
        results = list(run_tasks(client, sum, range(20), "adding"))
        assert sum(results) == sum(range(20))
        pid = next(iter(client.run(os.getpid).values()))
        assert pid != os.getpid()
        # The share of threads of a worker is all its cores, for one task at a time.
        assert set(client.nthreads().values()) == {2}
    script = (queue / "script").read_text()
    for line in ("#SBATCH -p short", "#SBATCH --cpus-per-task=2", "#SBATCH -t 00:10:00"):
        assert line in script
    until = time.monotonic() + 60
    while time.monotonic() < until and os.path.exists(f"/proc/{pid}"):
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{pid}")
    calls = (queue / "calls").read_text().split("\n")
    assert calls[0].startswith("sbatch") and calls[1].startswith("scancel")


def test_jobs_that_stay_in_the_queue(queue):
    (queue / "bin" / "sbatch").write_text("#!/bin/bash\necho Submitted batch job 999999\n")
    with (
        open_scheduler(write(queue, jobs=[1, 3], wait=0.5)) as client,
        pytest.raises(ClusterError, match="No worker of the cluster came"),
    ):
        list(run_tasks(client, sum, range(20), "adding"))


@pytest.mark.filterwarnings("ignore:OAR Job memory")
def test_every_kind_of_queue_has_a_class_that_writes_scripts():
    for kind, name in CLUSTERS.items():
        assert ClusterFile(kind=kind).kind == kind
        job = getattr(jobqueue, name).job_cls
        options = {"name": "x", "cores": 2, "memory": "1GB", "processes": 1, "walltime": "00:10"}
        if kind == "htcondor":
            options = {**options, "disk": "1GB"}
            del options["walltime"]
        script = job("tcp://127.0.0.1:8786", **options).job_script()
        assert "tcp://127.0.0.1:8786" in script and "--nthreads 2" in script, kind


def test_the_file_of_the_pipelines_is_valid():
    content = read_toml(PIPELINES / "slurm" / "cluster.toml")
    file = validate(content["cluster"], ClusterFile, "cluster")
    assert file.jobs == (1, 32) and {"cores", "memory"} <= file.options.keys()
