"""Parts of a work: any order of ends, workers that come and go, threads, bars, cluster files."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import Future
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from astrocnn import progress, scheduling
from astrocnn.clusters import CLUSTERS, ClusterFile, open_scheduler
from astrocnn.errors import ClusterError, ConfigError, PredictionError
from astrocnn.progress import Meter
from astrocnn.scheduling import StoredTask, run_tasks, shorten, validate_version


class Shuffled:
    """An executor of many workers that ends tasks in a random order, when it has enough."""

    def __init__(self, workers, n_parts, seed=0):
        self._max_workers, self.left = workers, n_parts
        self.waiting, self.parts, self.random = [], [], random.Random(seed)

    def submit(self, function, part):
        future = Future()
        self.waiting.append((future, function, part))
        self.parts.append(part)
        self.left -= len(part)
        if len(self.waiting) >= 2 * self._max_workers or not self.left:
            self.random.shuffle(self.waiting)
            for one, call, numbers in self.waiting:
                # Only now can it be seen as ended.
                one.set_result(call(numbers))
            self.waiting = []
        return future


@given(st.integers(1, 200), st.integers(1, 8), st.integers(1, 30), st.integers(0, 99))
def test_every_part_once_whoever_ends_first(n, workers, bundle, seed):
    numbers = [7 * number - 3 for number in range(n)]
    pool = Shuffled(workers, n, seed)
    results = run_tasks(pool, list, numbers, "x", bundle=bundle)
    assert Counter(number for part in results for number in part) == Counter(numbers)
    assert [number for part in pool.parts for number in part] == numbers
    for before, part in enumerate(pool.parts):
        left = n - sum(map(len, pool.parts[:before]))
        assert len(part) == max(1, min(bundle, left // (4 * workers)))


class Client:
    """A Dask client as far as it is used: workers that come and go."""

    dashboard_link = "http://127.0.0.1/status"

    def __init__(self, threads, error=None):
        self.threads, self.error, self.options = threads, error, []

    def scheduler_info(self):
        raise AssertionError("asking for all of it is slow")

    def nthreads(self):
        if isinstance(self.threads, Exception):
            raise self.threads
        return self.threads

    def submit(self, function, part, **options):
        self.options.append(options)
        future = Future()
        if self.error is not None:
            future.set_exception(self.error)
        elif self.threads:
            future.set_result(function(part))
        return future


def test_tasks_of_a_cluster_are_tried_again_when_a_worker_is_lost():
    client = Client({"a": 1, "b": 3})
    assert sum(run_tasks(client, len, range(40), "x")) == 40
    assert client.options[0] == {"pure": False, "retries": 2}


class KilledWorker(Exception):
    """Of the name that Dask gives it."""


class CommClosedError(Exception):
    """Of the name that Dask gives it."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KilledWorker("a  b\nc"), "A worker process was ended from outside.\n  received: a b c"),
        (CommClosedError(), "The scheduler of the cluster was lost.\n  received: CommClosedError"),
        (ModuleNotFoundError("No x"), "cannot load this version of astrocnn.\n  received: No x"),
    ],
)
def test_errors_of_a_cluster_are_sentences(error, sentence):
    with pytest.raises(ClusterError) as caught:
        list(run_tasks(Client({"a": 1}, error), len, range(3), "x"))
    assert sentence in str(caught.value) and caught.value.__cause__ is error
    assert "try:" in str(caught.value)


def test_an_error_that_nobody_foresaw_stays_what_it_is():
    with pytest.raises(ZeroDivisionError):
        list(run_tasks(Client({"a": 1}, ZeroDivisionError()), len, range(3), "x"))


def test_a_scheduler_that_is_gone_and_workers_that_never_come(monkeypatch):
    with pytest.raises(ClusterError, match=r"(?s)scheduler of the cluster was lost.*closed"):
        list(run_tasks(Client(OSError("closed")), len, range(3), "x"))
    monkeypatch.setattr(scheduling, "_POLL", 0.001)
    with pytest.raises(ClusterError, match=r"No worker of the cluster came within 0\.01 s"):
        list(run_tasks(Client({}), len, range(3), "x", wait=0.01))


@given(st.text())
def test_errors_of_others_are_one_short_line(text):
    short = shorten(ValueError(text))
    assert 0 < len(short) <= 300 and len(short.splitlines()) == 1
    assert short == (" ".join(text.split()) or "ValueError")[:300]


@pytest.mark.parametrize(("share", "n"), [("3", 3), ("0", None), ("x", None), ("-1", None)])
def test_threads_are_the_share_or_all_cores(monkeypatch, share, n):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", share)
    monkeypatch.setattr(scheduling.os, "sched_getaffinity", lambda _: set(range(5)), raising=False)
    assert scheduling.count_threads() == (n or 5)


def test_limits_of_the_user_stay(monkeypatch):
    for name in scheduling.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    scheduling.limit_threads(2)
    environment = scheduling.os.environ
    assert [environment[name] for name in scheduling.THREADS] == ["7", "2", "2"]
    assert environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


class Summing:
    """A worker that was opened in a folder."""

    opened = 0

    def __init__(self, folder, own):
        Summing.opened += 1
        self.start = own["start"]

    def compute_parts(self, numbers):
        return self.start + sum(numbers)


def test_a_stored_task_is_opened_once_for_each_command(tmp_path, monkeypatch):
    monkeypatch.setattr(Summing, "opened", 0)
    monkeypatch.setattr(scheduling, "_opened", {})
    one, other = (StoredTask(Summing, tmp_path, {"start": start}) for start in (10, 100))
    assert [one([1, 2]), one([3]), other([1]), one([])] == [13, 13, 101, 10]
    # One at a time is in memory: the first was opened anew.
    assert Summing.opened == 3 and list(scheduling._opened) == [one.token] != [other.token]


def test_a_worker_of_another_version_or_folder_is_refused(tmp_path):
    with pytest.raises(ClusterError, match=r"(?s)another version of astrocnn.*allowed:  0\.0\.0"):
        StoredTask(Summing, tmp_path, {}, version="0.0.0")([1])
    with pytest.raises(ClusterError, match=r"(?s)does not see the folder.*/absent\n.*--out"):
        StoredTask(Summing, tmp_path / "absent", {})([1])
    validate_version("numpy", "2.4", "2.4")
    with pytest.raises(ClusterError, match=r"(?s)version of numpy.*received: 2.3.*allowed:  2.4"):
        validate_version("numpy", "2.3", "2.4")


@given(st.floats(0, 4e5, exclude_min=True))
def test_times_are_those_of_python(seconds):
    days = round(seconds) // 86400
    expected = str(timedelta(seconds=round(seconds) - 86400 * days)).split(":")
    hours = int(expected[0]) + 24 * days
    assert progress._format_time(seconds) == ":".join([str(hours), *expected[1:]])
    assert progress._format_time(None) == "0:00:00"


def test_bars_count_their_depth_even_after_errors():
    depth = Meter._depth.value
    with pytest.raises(PredictionError), Meter("x", 3) as outer, Meter.hidden():
        outer.advance(1, 5)
        assert Meter._depth.value == depth + 2
        raise PredictionError("No.")
    assert Meter._depth.value == depth


@pytest.mark.parametrize("kind", sorted(CLUSTERS))
@pytest.mark.parametrize("jobs", [1, 500, (0, 1), (3, 3), (2, 90)])
def test_numbers_of_jobs(kind, jobs):
    assert ClusterFile(kind=kind, jobs=jobs).jobs == jobs


@pytest.mark.parametrize(
    "wrong",
    [
        {"jobs": 0}, {"jobs": -1}, {"jobs": (0, 0)}, {"jobs": (3, 2)}, {"jobs": (-1, 2)},
        {"jobs": (1, 2, 3)}, {"jobs": 1.5}, {"wait": 0}, {"wait": -1.0}, {"wait": "long"},
        {"kind": "Slurm"}, {"queue": "x"}, {"options": 3},
    ],
)  # fmt: skip
def test_cluster_files_that_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        ClusterFile(**{"kind": "slurm", **wrong})


@pytest.mark.parametrize("text", ["local:-1", "local:2.5", "local:²", "host", "host:", "host:port"])
def test_addresses_that_are_none(text):
    sentence = r"(?s)no such cluster.*received: .*local:N"
    with pytest.raises(ConfigError, match=sentence), open_scheduler(text):
        pass


@pytest.mark.parametrize("workers", [1, 0, -3])
def test_one_process_needs_no_scheduler(workers):
    with open_scheduler(None, workers) as scheduler:
        assert scheduler is None
