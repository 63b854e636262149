"""Running the parts of a work: bundles, errors, lost workers; and the descriptions of clusters."""

from __future__ import annotations

import itertools
import os
import sys
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from astrocnn import scheduling
from astrocnn.clusters import open_scheduler
from astrocnn.errors import ClusterError, ConfigError, MissingDependency, TrainingError
from astrocnn.scheduling import run_tasks


class Inline:
    """An executor that computes at once, and remembers what it got."""

    _max_workers = 2

    def __init__(self, error=None):
        self.parts, self.error = [], error

    def submit(self, function, part):
        self.parts.append(part)
        future = Future()
        if self.error is None:
            future.set_result(function(part))
        else:
            future.set_exception(self.error)
        return future


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_every_part_is_computed_once(n):
    inline = Inline()
    assert sorted(itertools.chain(*run_tasks(inline, list, range(n), "x"))) == list(range(n))
    sizes = [len(part) for part in inline.parts]
    assert max(sizes, default=1) <= scheduling.BUNDLE
    # The last ones are single, so that all workers end together.
    assert sizes[-1:] in ([], [1]) and sizes == sorted(sizes, reverse=True)


def test_planning_a_million_parts_takes_seconds():
    ended = run_tasks(Inline(), len, range(10**6), "x")
    assert sum(ended) == 10**6


def fail(numbers):
    raise TrainingError("No.", hint="try")


def die(numbers):
    os._exit(9)


def test_an_error_of_a_task_is_raised_as_it_is():
    with pytest.raises(TrainingError, match="No") as caught:
        list(run_tasks(ThreadPoolExecutor(2), fail, range(5), "x"))
    assert caught.value.hint == "try"


def test_a_killed_process_is_a_sentence():
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(ClusterError, match="A worker process was ended from outside") as caught,
    ):
        list(run_tasks(pool, die, [9], "x"))
    assert "what is finished is kept" in caught.value.hint


def test_a_worker_without_the_package_is_a_sentence():
    with pytest.raises(ClusterError, match="cannot load this version"):
        list(run_tasks(Inline(ModuleNotFoundError("astrocnn")), len, [1], "x"))


def test_local_processes_share_the_threads(monkeypatch):
    monkeypatch.setattr("astrocnn.clusters.count_threads", lambda: 6)
    for name in scheduling.THREADS:
        monkeypatch.delenv(name, raising=False)
    with open_scheduler(workers=3) as pool:
        assert pool._max_workers == 3
        names = ["TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"]
        assert list(pool.map(os.getenv, names)) == ["2", "2"]
    with open_scheduler() as none:
        assert none is None


def test_the_share_of_a_process_is_what_its_libraries_are_limited_to(monkeypatch):
    for name in scheduling.THREADS:
        monkeypatch.delenv(name, raising=False)
    assert scheduling.count_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    assert scheduling.count_threads() == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("local:", "There is no such cluster"),
        ("local:0", "There is no such cluster"),
        ("slurm", "There is no such cluster"),
        ("absent.toml", "cannot be read"),
    ],
)
def test_clusters_that_are_none(text, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=sentence), open_scheduler(text):
        pass


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[run]\n", "is not a cluster file"),
        ("[cluster]\njobs = 2\n", "kind"),
        ('[cluster]\nkind = "slurm"\njobs = 0\n', "jobs is a number from 1"),
        ('[cluster]\nkind = "slurm"\njobs = [4, 2]\n', "jobs is a number from 1"),
        ('[cluster]\nkind = "slurm"\nqueue = "x"\n', "queue: this version does not know it"),
        ('[cluster]\nkind = "slurm"\n[cluster.options]\nx = 1\n', "are not those of dask-jobqueue"),
    ],
)
def test_cluster_files_with_mistakes(text, sentence, tmp_path):
    pytest.importorskip("dask_jobqueue", reason="the extra 'survey' is not installed")
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigError) as caught, open_scheduler(str(tmp_path / "c.toml")):
        pass
    assert sentence in str(caught.value)


def test_cluster_and_processes_exclude_each_other():
    with pytest.raises(ConfigError, match="Both a cluster and"), open_scheduler("local:2", 2):
        pass


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match="survey"), open_scheduler("local:2"):
        pass
