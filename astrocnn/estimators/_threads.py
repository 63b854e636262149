"""How many threads classical methods take: the processors given, and no more than have work.

Threads of OpenMP wait for one another thousands of times in a boosted tree.  Where they share their
processors with other work, each time costs a slice of the scheduler: 100 rounds on 300 objects took
0.2 s with one thread and 140 s with two, on two processors that six others wanted as well.  So few
numbers get one thread, and what is independent (the trees of a forest, the parts of a
cross-validation, blocks of objects) gets a thread each, which wait for nobody.  No result depends
on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from joblib import cpu_count, parallel_config
from threadpoolctl import threadpool_info, threadpool_limits

__all__ = ["each_in_a_thread", "for_independent_parts", "processors", "together_on"]

_WORTH_A_THREAD = 1_000_000


def processors() -> int:
    """Processors this process may use: affinity, quota of a container and ``OMP_NUM_THREADS``."""
    allowed = [info["num_threads"] for info in threadpool_info() if info["user_api"] == "openmp"]
    return max(1, min([cpu_count(), *allowed]))


@contextmanager
def for_independent_parts() -> Iterator[None]:
    """Inside, what scikit-learn can do independently is done in as many threads."""
    with parallel_config("threading", n_jobs=processors()):
        yield


@contextmanager
def together_on(numbers: int) -> Iterator[None]:
    """Inside, OpenMP works on so many numbers with a thread for each million, at least one."""
    threads = min(processors(), max(1, numbers // _WORTH_A_THREAD))
    with threadpool_limits(threads, user_api="openmp"):
        yield


def each_in_a_thread(function: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """``[function(piece) for piece in pieces]``, side by side, each without further threads."""

    def alone(piece: Any) -> Any:
        # The limit of OpenMP is that of the thread that sets it.
        with threadpool_limits(1, user_api="openmp"):
            return function(piece)

    workers = min(processors(), len(pieces))
    with threadpool_limits(1, user_api="blas"):
        if workers < 2:
            return [alone(piece) for piece in pieces]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(alone, pieces))
