"""Samples of many objects of shards, chunk by chunk, in this process or in workers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.atomic import replacing, replacing_folder, write_text
from astrocnn.datasets import Shards
from astrocnn.datasets.object_store import read_array, write_array
from astrocnn.errors import ClusterError, PredictionError
from astrocnn.estimators.base import FEATURES, Estimator, sample_with_features
from astrocnn.prediction.chunks import Plan
from astrocnn.prediction.stored_model import read_model, write_model
from astrocnn.scheduling import Scheduler, StoredTask, run_tasks
from astrocnn.stored_files import Stored, read_arrays, read_json

__all__ = ["sample_rows"]

_ABOUT = "sampling.json"


class _About(Stored):
    """What a worker reads."""

    shards: Path
    fingerprint: str
    options: dict[str, Any]
    with_features: bool


@dataclass
class _Sampling:
    """What chunks are sampled from."""

    estimator: Estimator
    shards: Shards
    rows: NDArray[np.int64]
    options: Mapping[str, Any]
    with_features: bool
    folder: Path | None = None

    @property
    def plan(self) -> Plan:
        """Chunks of about 64 MiB of images."""
        inputs = self.estimator.inputs
        image = 4 * inputs.size**2 * len(inputs.bands)
        return Plan.make(np.arange(len(self.rows)), image, {})

    def sample(self, number: int) -> dict[str, NDArray[np.float32]]:
        """Samples of one chunk by target, of shape (n_draws, n, units), and features."""
        rows = self.rows[self.plan.rows(number)]
        names = self.estimator.inputs.scalars
        scalars = self.shards.scalars(names)[rows] if names else None
        images = self.shards.images(rows)
        if not self.with_features:
            return self.estimator.sample(images, scalars, **self.options)
        samples, features = sample_with_features(self.estimator, images, scalars, **self.options)
        return {**samples, FEATURES: features[None]}

    def compute_parts(self, numbers: Sequence[int]) -> int:
        """Write the samples of some chunks; the number of their objects."""
        assert self.folder is not None
        for number in numbers:
            with replacing(self.folder / _name(number)) as temporary, temporary.open("wb") as to:
                np.savez(to, **{f"of/{key}": v for key, v in self.sample(number).items()})  # type: ignore[arg-type]
        return sum(len(self.plan.rows(number)) for number in numbers)


def sample_rows(
    estimator: Estimator,
    shards: Shards,
    rows: NDArray[np.integer],
    *,
    features: bool = False,
    scheduler: Scheduler | None = None,
    folder: Path | None = None,
    **options: Any,
) -> dict[str, NDArray[np.float32]]:
    """Sample some rows of shards; the images of one chunk are in memory.

    Parameters
    ----------
    estimator : Estimator
        A trained estimator.
    shards : Shards
        Images and scalars.
    rows : ndarray of int, shape (n,)
    features : bool
        Whether to return features as well, of shape (1, n, d), under the key `FEATURES`.
    scheduler : Scheduler, optional
        Who computes; by default this process.
    folder : Path, optional
        For a scheduler: a folder that its workers see, which is made and removed.
    **options
        Of `Estimator.sample`.

    Returns
    -------
    dict of str to ndarray of shape (n_draws, n, units)
        The same bits with any scheduler.
    """
    wanted: NDArray[np.int64] = np.asarray(rows, np.int64)
    work = _Sampling(estimator, shards, wanted, options, features)
    # Without rows one chunk is empty.
    numbers = range(max(1, len(work.plan)))
    if scheduler is None:
        return _join(map(work.sample, numbers))
    assert folder is not None
    folder = folder.resolve()
    try:
        task = _store(work, folder)
        for _ in run_tasks(scheduler, task, numbers, "sampling", count=int):
            pass
        return _join(_read(folder / _name(number)) for number in numbers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _name(number: int) -> str:
    return f"part-{number:06d}.npz"


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    return {k.removeprefix("of/"): v for k, v in read_arrays(path, PredictionError).items()}


def _join(parts: Iterator[dict[str, NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
    found = list(parts)
    return {key: np.concatenate([part[key] for part in found], axis=1) for key in found[0]}


def _store(work: _Sampling, folder: Path) -> StoredTask:
    with replacing_folder(folder) as temporary:
        own = write_model(temporary, work.estimator, ())
        write_array(temporary, "rows", work.rows)
        about = _About(
            shards=work.shards.directory.resolve(),
            fingerprint=work.shards.fingerprint,
            options=dict(work.options),
            with_features=work.with_features,
        )
        write_text(temporary / _ABOUT, about.model_dump_json())
    return StoredTask(_open, folder, own)


def _open(folder: Path, own: Mapping[str, Any]) -> _Sampling:
    about: _About = read_json(folder / _ABOUT, _About, ClusterError)
    shards = Shards.open(about.shards)
    if shards.fingerprint != about.fingerprint:
        raise ClusterError("A worker has other shards.", received=str(about.shards))
    estimator, _ = read_model(folder, own)
    rows = read_array(folder, "rows")
    return _Sampling(estimator, shards, rows, about.options, about.with_features, folder)
