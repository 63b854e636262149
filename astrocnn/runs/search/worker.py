"""Training the trials of a search, in this process or in several."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from joblib import cpu_count

from astrocnn.backend import keras, load_tensorflow
from astrocnn.datasets.shards import MANIFEST, Shards
from astrocnn.errors import AstrocnnError, ConfigError, ModelError, TrainingError
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from astrocnn.runs.search.folder import Outcome, SearchFolder, TrialFolder
from astrocnn.runs.search.sampling import Pruned, Pruning, known_values, suggest
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.verbs import train
from astrocnn.runs.verbs.cutouts import write_cutouts

__all__ = ["cut", "in_processes", "prepare", "work"]

_LOOK_EVERY = 0.3


def prepare(folder: SearchFolder, trial: TrialFolder) -> None:
    """Choose the values of a trial and write its run file, unless it exists.

    An invalid run is an outcome, too.
    """
    if trial.made:
        return
    values = known_values(folder.search, trial.number)
    if values is None:
        values = suggest(folder, trial.number)
    trial.make(values, folder.build_config(values, trial.number))


def cut(folder: SearchFolder, config: RunConfig) -> Shards:
    """Return the shards of a trial; write them if no other trial has the same inputs."""
    home = folder.cutouts(config)
    with folder.exclusive():
        # Complete shards are never rewritten: other processes may be reading them.
        if not (home.shards / MANIFEST).is_file():
            write_cutouts(Run(config, home))
    return Shards.open(home.shards)


def work(folder: SearchFolder, watch: Callable[[Any], None] | None = None) -> Iterator[TrialFolder]:
    """Train one trial after another, those of other processes excepted; yields each that ended.

    Parameters
    ----------
    folder : SearchFolder
        With its shards cut.
    watch : callable, optional
        Called with the history after each epoch.
    """
    started = time.monotonic()
    for number in range(folder.search.count):
        trial = folder.trial(number)
        if trial.done:
            continue
        hours = folder.search.hours
        if hours is not None and time.monotonic() - started > 3600 * hours:
            return
        with trial.claimed() as claimed:
            if not claimed or trial.done:
                continue
            prepare(folder, trial)
            trial.end(_train(folder, trial, watch))
        yield trial


def _train(
    folder: SearchFolder, trial: TrialFolder, watch: Callable[[Any], None] | None
) -> Outcome:
    config = trial.config()
    cut(folder, config)
    folder.link_shards(trial, config)
    callbacks = [] if watch is None else [watch]
    if folder.search.pruning:
        callbacks.append(Pruning(folder, trial))
    try:
        for _ in train.run(config, trial.path, cut=False, callbacks=callbacks):
            pass
    except Pruned:
        return Outcome("pruned")
    except (TrainingError, ModelError, ConfigError) as error:
        return Outcome("failed", str(error))
    finally:
        _forget()
    return Outcome("complete")


def _forget() -> None:
    """Release the memory that Keras holds for a network that is no longer needed."""

    keras.utils.clear_session(free_memory=False)
    gc.collect()


def in_processes(folder: SearchFolder, n: int) -> Iterator[TrialFolder]:
    """Train the trials in several processes, each with a TensorFlow of its own.

    Parameters
    ----------
    folder : SearchFolder
        With its shards cut.
    n : int
        Number of processes.

    Yields
    ------
    TrialFolder
        Each trial as it ends, wherever it was trained.

    Raises
    ------
    AstrocnnError
        If a process could not go on; the others finish their work.
    """
    context = multiprocessing.get_context("spawn")
    open_ones = [t for t in map(folder.trial, range(folder.search.count)) if not t.done]
    processes, receivers = [], []
    try:
        for _ in range(n):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_main, args=(str(folder.path), n, sender))
            process.start()
            sender.close()
            processes.append(process)
            receivers.append(receiver)
        alive = True
        while alive:
            alive = any(process.is_alive() for process in processes)
            for trial in [t for t in open_ones if t.done]:
                open_ones.remove(trial)
                yield trial
            time.sleep(_LOOK_EVERY if alive else 0)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    for process, receiver in zip(processes, receivers, strict=True):
        if process.exitcode:
            raise AstrocnnError(
                "A process of the search could not go on.",
                received=_receive_error(receiver) or f"exit code {process.exitcode}",
                hint="give the same command again: what is finished is kept"
                + ("; with fewer --workers if memory was short" if process.exitcode < 0 else ""),
            )


def _receive_error(receiver: Any) -> str:
    with contextlib.suppress(EOFError, OSError):
        if receiver.poll():
            return str(receiver.recv())
    return ""


def _main(path: str, n: int, sender: Any) -> None:
    """Run one process with its share of threads; send only a final error to the parent."""
    share = str(max(1, cpu_count() // n))
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, share)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    parent = multiprocessing.parent_process()

    def orphaned(history: Any) -> None:
        if parent is not None and not parent.is_alive():
            raise KeyboardInterrupt

    with open(os.devnull, "w") as devnull:
        sys.stderr = devnull
        try:
            load_tensorflow()
            config = load_run(Path(path) / "search.toml")
            for _ in work(SearchFolder(path, config), orphaned):
                pass
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            sender.send(f"{type(error).__name__}: {error}")
            sys.exit(1)
