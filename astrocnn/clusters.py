"""Starting or joining what computes the parts of a work: local processes, or a Dask cluster.

References
----------
Dask: https://distributed.dask.org; queueing systems: https://jobqueue.dask.org.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from astrocnn.errors import ClusterError, ConfigError, MissingDependency
from astrocnn.scheduling import THREADS, Scheduler, count_threads, limit_threads, shorten
from astrocnn.stored_files import Stored, read_toml, validate

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["CLUSTERS", "ClusterFile", "open_scheduler"]

CLUSTERS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""Queueing systems and their classes in dask-jobqueue."""

CONNECT = 30.0
"""Longest time to reach a scheduler [s]."""

LOST_WORKERS = 10
"""Workers that may be lost with the same task before it counts as the cause."""


class ClusterFile(Stored):
    """The table ``[cluster]`` of a file given to ``--cluster``."""

    kind: Literal["slurm", "pbs", "lsf", "htcondor", "sge", "oar", "moab"]
    """Queueing system."""
    jobs: int | tuple[int, int] = Field(1)
    """Number of jobs; or their least and greatest number, between which Dask adapts it."""
    wait: float = Field(3600.0, gt=0)
    """Longest time without any worker [s]."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the class of dask-jobqueue: ``cores``, ``memory``, ``walltime``, ``queue``..."""

    @model_validator(mode="after")
    def _check_jobs(self) -> Self:
        low, high = (self.jobs, self.jobs) if isinstance(self.jobs, int) else self.jobs
        if not 0 <= low <= high or high < 1:
            raise ValueError("jobs is a number from 1, or a least and a greatest number")
        return self


def _start_process(threads: int) -> None:
    """Limit the threads of a local process, which ends when the one that started it is killed."""
    limit_threads(threads)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def open_scheduler(cluster: str | None = None, workers: int = 1) -> Iterator[Scheduler | None]:
    """Start or join what computes the parts of a work, and end it with the ``with`` block.

    Parameters
    ----------
    cluster : str, optional
        Address of a Dask scheduler (``tcp://host:8786``), ``local:N`` for a Dask cluster of N
        processes on this machine, or a TOML file with a table ``[cluster]``; see `ClusterFile`.
    workers : int
        Without `cluster`: number of processes on this machine.

    Yields
    ------
    Executor, Client or None
        None for this process alone.

    Raises
    ------
    ConfigError
        If `cluster` is none of these, or `workers` is given beside it.
    MissingDependency
        If Dask or dask-jobqueue is not installed.
    ClusterError
        If there is no scheduler at that address, or the jobs cannot be submitted.
    """
    if cluster is not None and workers != 1:
        raise ConfigError(
            "Both a cluster and a number of local processes are given.",
            hint="leave out one of --cluster and --workers",
        )
    if cluster is None:
        if workers < 2:
            yield None
            return
        share = max(1, count_threads() // workers)
        with ProcessPoolExecutor(workers, get_context("spawn"), _start_process, (share,)) as pool:
            try:
                yield pool
            except BaseException:
                # What waits is not begun: the parts that are being computed are finished.
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return
    with ExitStack() as stack:
        yield _open_cluster(cluster, stack)


def _open_cluster(cluster: str, stack: ExitStack) -> Client:
    kind, _, rest = cluster.partition(":")
    if kind == "local":
        if not (rest.isdecimal() and int(rest)):
            raise _invalid_cluster(cluster)
        return _start_local(int(rest), stack)
    if cluster.endswith(".toml"):
        return _start_jobs(_read_cluster_file(Path(cluster)), stack)
    if "://" not in cluster and not rest.isdecimal():
        raise _invalid_cluster(cluster)
    distributed = _import("distributed")
    try:
        client = distributed.Client(cluster, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            "There is no Dask scheduler at this address.",
            received=f"{cluster}: {shorten(error)}",
            hint="start one with 'dask scheduler', or compare the address",
        ) from error
    stack.callback(_close, client)
    return client


def _start_local(n: int, stack: ExitStack) -> Client:
    distributed = _import("distributed")
    share = max(1, count_threads() // n)
    # As in `limit_threads`; Dask itself limits OpenMP and BLAS to one thread.
    limits = {name: os.environ.get(name, str(share)) for name in THREADS if "TF" in name}
    stack.enter_context(_configure())
    scratch = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    local = distributed.LocalCluster(
        n_workers=n,
        threads_per_worker=1,
        env={"TF_FORCE_GPU_ALLOW_GROWTH": "true", **limits},
        dashboard_address="127.0.0.1:0",
        local_directory=scratch,
        silence_logs=50,
    )
    stack.callback(_close, local)
    client = distributed.Client(local, set_as_default=False)
    stack.callback(_close, client)
    return client


def _start_jobs(file: ClusterFile, stack: ExitStack) -> Client:
    jobqueue, distributed = _import("dask_jobqueue"), _import("distributed")
    stack.enter_context(_configure())
    kind = getattr(jobqueue, CLUSTERS[file.kind])
    cluster = kind.__new__(kind)
    # One whose options are wrong would complain later that it was never closed.
    stack.callback(setattr, cluster, "status", distributed.Status.closed)
    try:
        cluster.__init__(**file.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "The options of the cluster are not those of dask-jobqueue.",
            received=shorten(error),
            hint="[cluster.options] needs cores and memory, and may have walltime, queue, account",
        ) from error
    except Exception as error:
        raise ClusterError("The cluster cannot be started.", received=shorten(error)) from error
    stack.callback(_close, cluster)
    client = distributed.Client(cluster, set_as_default=False)
    client.astrocnn_wait = file.wait
    stack.callback(_close, client)
    try:
        if isinstance(file.jobs, int):
            cluster.scale(jobs=file.jobs)
        else:
            cluster.adapt(minimum_jobs=file.jobs[0], maximum_jobs=file.jobs[1])
    except Exception as error:
        raise ClusterError("The jobs cannot be submitted.", received=shorten(error)) from error
    return client


def _read_cluster_file(path: Path) -> ClusterFile:
    content = read_toml(path)
    hint = '[cluster] with kind = "slurm", jobs = 8, and a table [cluster.options]'
    if set(content) != {"cluster"}:
        raise ConfigError(
            f"'{path}' is not a cluster file.", received=list(content) or "nothing", hint=hint
        )
    file: ClusterFile = validate(content["cluster"], ClusterFile, f"'{path}'", ConfigError, hint)
    return file


def _invalid_cluster(received: str) -> ConfigError:
    return ConfigError(
        "There is no such cluster.",
        received=received,
        allowed="the address of a Dask scheduler, local:N, or a file FILE.toml",
        hint="--cluster local:4",
    )


def _import(name: str) -> Any:
    try:
        if name == "distributed":
            import distributed

            return distributed
        import dask_jobqueue

        return dask_jobqueue
    except ImportError as error:
        raise MissingDependency(error.name or name, "survey", "use a cluster") from error


def _configure() -> Any:
    import dask

    # A worker whose job ends takes its task with it, which is no fault of the task.
    return dask.config.set({"distributed.scheduler.allowed-failures": LOST_WORKERS})


def _close(part: Any) -> None:
    # A scheduler that is gone cannot be closed.
    with suppress(Exception):
        part.close(timeout=10)
