"""Who computes which part of a work: this process, local processes, or a Dask cluster.

Work is divided into numbered parts (chunks of a catalogue, shards, trials), each of which is
computed by a function of its number alone and writes its own file.  A scheduler only decides
which process calls that function: any `concurrent.futures.Executor`, or a
`dask.distributed.Client`.  The result has the same bytes with each of them, and what was
finished before an interruption is not computed again.
"""

from __future__ import annotations

import functools
import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from threadpoolctl import ThreadpoolController

from astrocnn import __version__
from astrocnn.errors import AstrocnnError, ClusterError
from astrocnn.progress import Meter

if TYPE_CHECKING:
    from distributed import Client

    Scheduler: TypeAlias = Executor | Client
else:
    Scheduler = Any

__all__ = [
    "THREADS",
    "Scheduler",
    "StoredTask",
    "Worker",
    "count_threads",
    "find_libraries",
    "limit_threads",
    "run_tasks",
    "shorten",
    "validate_version",
]

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Environment variables that limit the threads of a process."""

WAIT = 300.0
"""Seconds without any worker after which a run ends, unless a cluster file says another number."""

BUNDLE = 16
"""Parts of the work in one task, at most: a task costs Dask several milliseconds."""

RETRIES = 2
_POLL = 0.5
_HINT = "give the same command again: what is finished is kept"


def count_threads() -> int:
    """Threads that this process may use: its share, or all cores that it may run on."""
    share = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if share.isdecimal() and int(share):
        return int(share)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_libraries() -> ThreadpoolController:
    """The loaded numerical libraries, whose threads its `limit` limits."""
    return _find_libraries(len(sys.modules))


@functools.lru_cache(maxsize=1)
def _find_libraries(n_modules: int) -> ThreadpoolController:
    # The search takes 8 ms beside TensorFlow; only an import brings another library.
    return ThreadpoolController()


def limit_threads(n: int) -> None:
    """Limit the threads of numerical libraries that are not loaded yet; the user's limits stay."""
    for name in THREADS:
        os.environ.setdefault(name, str(n))
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def _limit_worker() -> None:
    """Limit this process to its share of threads, if it is a worker of a Dask cluster."""
    if "distributed" not in sys.modules:
        return
    from distributed import get_worker

    try:
        threads = get_worker().state.nthreads
    except ValueError:
        return
    limit_threads(threads)


class Worker(Protocol):
    """What a task opens in a worker, once."""

    def compute_parts(self, numbers: Sequence[int]) -> Any:
        """Compute some parts of the work and write their files; a small summary of them."""


@dataclass(frozen=True)
class StoredTask:
    """A task whose data are stored in a folder that all workers see.

    It is small, and sent with each few numbers; a worker process opens the folder once.

    Parameters
    ----------
    open : callable
        From the folder and `own` to a `Worker`; a function of a module.
    folder : Path
        Absolute.
    own : mapping of str to object
        What has no stored form.
    """

    open: Callable[[Path, Mapping[str, Any]], Worker]
    folder: Path
    own: Mapping[str, Any]
    version: str = __version__
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Of this command: files are opened anew by another one."""

    def __call__(self, numbers: Sequence[int]) -> Any:
        """Compute some parts of the work in a worker.

        Raises
        ------
        ClusterError
            If the worker has another version, or does not see the folder.
        """
        _limit_worker()
        with _opening:
            worker = _opened.get(self.token)
            if worker is None:
                validate_version("astrocnn", __version__, self.version)
                if not self.folder.is_dir():
                    raise ClusterError(
                        "A worker does not see the folder that is written to.",
                        received=str(self.folder),
                        hint="write --out to a folder that all workers share",
                    )
                # One model at a time is in memory.
                _opened.clear()
                worker = _opened[self.token] = self.open(self.folder, self.own)
        with Meter.hidden():
            return worker.compute_parts(numbers)


_opened: dict[str, Worker] = {}
_opening = threading.Lock()


def validate_version(name: str, received: str, allowed: str) -> None:
    """Raise if a worker has another version of a package.

    Raises
    ------
    ClusterError
        Naming both.
    """
    if received != allowed:
        raise ClusterError(
            f"A worker runs another version of {name}.",
            received=received,
            allowed=allowed,
            hint="install the same packages for all workers",
        )


def run_tasks(
    scheduler: Scheduler,
    task: Callable[[Sequence[int]], Any],
    numbers: Sequence[int],
    description: str,
    *,
    count: Callable[[Any], int] = lambda result: 0,
    unit: str = "objects",
    bundle: int = BUNDLE,
    wait: float | None = None,
) -> Iterator[Any]:
    """Have the parts of a work computed, and yield the results of tasks as they end.

    Parameters
    ----------
    scheduler : Executor or Client
        Who computes.
    task : callable
        Called in a worker with some of the numbers.  It can be pickled, and is small.
    numbers : sequence of int
        Parts of the work.
    description : str
        For the progress bar.
    count : callable
        Number of objects that a result stands for.
    unit : str
        What it counts.
    bundle : int
        Numbers in one task, at most.  Tasks become smaller towards the end, so that all workers
        end together.
    wait : float, optional
        Longest time without any worker [s].

    Raises
    ------
    AstrocnnError
        What a task raised.
    ClusterError
        If no worker came or stayed, or the workers or the scheduler were lost.
    """
    pool = _Pool(scheduler, WAIT if wait is None else wait)
    guarded = functools.partial(_guard, task)
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    running: dict[Any, Sequence[int]] = {}
    position = 0
    with Meter(description, len(numbers), unit) as meter:
        try:
            while position < len(numbers) or running:
                slots = pool.count_slots()
                while position < len(numbers) and len(running) < 2 * max(1, slots):
                    left = len(numbers) - position
                    size = max(1, min(bundle, left // (4 * max(1, slots))))
                    part = numbers[position : position + size]
                    future = pool.submit(guarded, part)
                    running[future] = part
                    future.add_done_callback(ended.put)
                    position += size
                try:
                    future = ended.get(timeout=_POLL)
                except queue.Empty:
                    pool.check()
                    meter.advance(note=pool.describe())
                    continue
                part = running.pop(future)
                result = pool.get(future)
                if isinstance(result, _Failure):
                    raise result.error
                meter.advance(len(part), count(result), pool.describe())
                yield result
        finally:
            for future in running:
                with suppress(Exception):
                    future.cancel()


class _Failure:
    """An error of a task, which no second try would mend."""

    def __init__(self, error: AstrocnnError) -> None:
        self.error = error


def _guard(task: Callable[[Sequence[int]], Any], numbers: Sequence[int]) -> Any:
    try:
        return task(numbers)
    except AstrocnnError as error:
        return _Failure(error)


class _Pool:
    """An executor or a Dask client: submitting, counting workers, and what their errors mean."""

    def __init__(self, scheduler: Any, wait: float) -> None:
        self._scheduler = scheduler
        # A client knows the workers of its cluster; what an executor has is not public.
        self._client = hasattr(scheduler, "scheduler_info")
        self._wait = getattr(scheduler, "astrocnn_wait", wait)
        self._seen, self._alive, self._slots = time.monotonic(), 0, 0
        self._looked = -1.0

    def count_slots(self) -> int:
        """Tasks that are computed at a time; 0 while no worker is there."""
        if not self._client:
            self._alive = getattr(self._scheduler, "_max_workers", None) or count_threads()
            return self._alive
        now = time.monotonic()
        if now - self._looked > _POLL:
            self._looked = now
            try:
                threads = self._scheduler.nthreads()
            except Exception as error:
                raise self._lost(error) from error
            self._alive, self._slots = len(threads), sum(threads.values())
            if self._alive:
                self._seen = now
        return self._slots

    def check(self) -> None:
        """Raise if no worker has been there for too long, or the scheduler is gone."""
        self.count_slots()
        if self._alive:
            return
        if time.monotonic() - self._seen > self._wait:
            raise ClusterError(
                f"No worker of the cluster came within {self._wait:g} s.",
                hint=f"look at its queue; then {_HINT}",
            )

    def submit(self, function: Callable[..., Any], part: Sequence[int]) -> Any:
        """Submit one task."""
        options = {"pure": False, "retries": RETRIES} if self._client else {}
        try:
            return self._scheduler.submit(function, part, **options)
        except BrokenProcessPool as error:
            raise self._killed(error) from error

    def get(self, future: Any) -> Any:
        """The result of a task that has ended."""
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise self._killed(error) from error
        except (ImportError, AttributeError) as error:
            raise ClusterError(
                "A worker cannot load this version of astrocnn.",
                received=shorten(error),
                hint="install the same packages for all workers",
            ) from error
        except Exception as error:
            name = type(error).__name__
            if name == "KilledWorker":
                raise self._killed(error) from error
            if name in ("FutureCancelledError", "CancelledError", "CommClosedError"):
                raise self._lost(error) from error
            raise

    def describe(self) -> str:
        """Workers alive, and where the dashboard is."""
        workers = f"{self._alive} worker{'' if self._alive == 1 else 's'}"
        if not self._client:
            return workers
        return f"{workers}, {self._scheduler.dashboard_link}"

    @staticmethod
    def _killed(error: BaseException) -> ClusterError:
        return ClusterError(
            "A worker process was ended from outside.",
            received=shorten(error),
            hint=f"{_HINT}; with fewer workers if memory was short",
        )

    @staticmethod
    def _lost(error: BaseException) -> ClusterError:
        return ClusterError(
            "The scheduler of the cluster was lost.", received=shorten(error), hint=_HINT
        )


def shorten(error: BaseException) -> str:
    """First words of an error of another package, on one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
