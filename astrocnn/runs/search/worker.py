"""Training the trials of a search, in this process or in workers."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from astrocnn.backend import keras, load_tensorflow
from astrocnn.datasets.shards import MANIFEST, Shards
from astrocnn.errors import ConfigError, ModelError, TrainingError
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from astrocnn.runs.search.folder import Outcome, SearchFolder, TrialFolder
from astrocnn.runs.search.sampling import Pruned, Pruning, known_values, suggest
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.verbs import train
from astrocnn.runs.verbs.cutouts import write_cutouts
from astrocnn.scheduling import Scheduler, StoredTask, run_tasks

__all__ = ["cut", "in_workers", "prepare", "work"]


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


def work(folder: SearchFolder) -> Iterator[TrialFolder]:
    """Train one trial after another, those of other processes excepted; yields each that ended.

    Parameters
    ----------
    folder : SearchFolder
        With its shards cut.
    """
    end = _compute_end(folder)
    for number in range(folder.search.count):
        if time.time() > end:
            return
        if _finish(folder, number):
            yield folder.trial(number)


def _compute_end(folder: SearchFolder) -> float:
    """Time after which no trial is begun."""
    hours = folder.search.hours
    return math.inf if hours is None else time.time() + 3600 * hours


def _finish(folder: SearchFolder, number: int) -> bool:
    """Train a trial to its end; False if it was done, or another process trains it."""
    trial = folder.trial(number)
    if trial.done:
        return False
    with trial.claimed() as claimed:
        if not claimed or trial.done:
            return False
        prepare(folder, trial)
        trial.end(_train(folder, trial))
    return True


def _train(folder: SearchFolder, trial: TrialFolder) -> Outcome:
    config = trial.config()
    cut(folder, config)
    folder.link_shards(trial, config)
    callbacks = [Pruning(folder, trial)] if folder.search.pruning else []
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


def in_workers(folder: SearchFolder, scheduler: Scheduler) -> Iterator[TrialFolder]:
    """Train the trials in the workers of a scheduler; yields each that ended.

    Parameters
    ----------
    folder : SearchFolder
        With its shards cut.
    scheduler : Executor or dask.distributed.Client
        Its workers must see the folder by the same path.

    Raises
    ------
    AstrocnnError
        If a trial could not be trained for another reason than its values.
    ClusterError
        If the workers do not come or are lost.
    """
    own = {"end": _compute_end(folder)}
    task = StoredTask(_Trainer, folder.path.resolve(), own)
    numbers = [n for n in range(folder.search.count) if not folder.trial(n).done]
    ended = run_tasks(scheduler, task, numbers, "training", count=len, unit="trials", bundle=1)
    for trials in ended:
        yield from map(folder.trial, trials)


class _Trainer:
    """A search that was opened in a worker."""

    def __init__(self, path: Path, own: Mapping[str, Any]) -> None:
        load_tensorflow()
        self._folder = SearchFolder(path, load_run(path / "search.toml"))
        self._end = own["end"]
        # Keras has one state for all networks of a process.
        self._lock = threading.Lock()

    def compute_parts(self, numbers: Sequence[int]) -> list[int]:
        """Train some trials; those that ended."""
        # Bars of several processes would overwrite each other.
        with self._lock, open(os.devnull, "w") as devnull, contextlib.redirect_stderr(devnull):
            return [n for n in numbers if time.time() < self._end and _finish(self._folder, n)]
