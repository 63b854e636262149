"""An estimator with recalibrated samples."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import calibration, plugins
from astrocnn.atomic import replacing_folder
from astrocnn.calibration import Calibration, Remap
from astrocnn.datasets import Shards
from astrocnn.display import Displayed
from astrocnn.errors import ConfigError
from astrocnn.estimators.base import (
    ABOUT,
    Estimator,
    Wrapper,
    load_estimator,
    sample_with_features,
    write_json,
)
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

__all__ = ["ESTIMATOR", "Calibrated", "example"]

_INSIDE = "estimator"
_REMAPS = "calibration.json"


class Calibrated(Displayed, Wrapper):
    """An estimator and a remap for some of its targets.

    Its task is that of the estimator, but for the families that a remap changes: a density of any
    form becomes probabilities in bins.

    Parameters
    ----------
    estimator : Estimator
        What predicts.
    remaps : mapping of str to Remap
        By target; the samples of other targets stay as they are.

    Attributes
    ----------
    estimator : Estimator
        The one inside.

    Raises
    ------
    ConfigError
        If a remap is for no target of the task, or does not suit its family.
    """

    def __init__(self, estimator: Estimator, remaps: Mapping[str, Remap]) -> None:
        self.estimator = self._inner = estimator
        self.remaps = dict(remaps)
        for name, remap in self.remaps.items():
            family = estimator.task.target(name).family
            if not type(remap).suits(family):
                raise ConfigError(
                    f"The remap of target '{name}' does not suit its family.",
                    received=f"{type(remap).__name__} for {type(family).__name__}",
                )

    def _facts(self) -> dict[str, object]:
        return {"calibrated": list(self.remaps), "estimator": repr(self.estimator)}

    @property
    def task(self) -> Task:
        """The task, with the families of the remapped samples."""
        task = self.estimator.task
        targets = tuple(
            replace(t, family=self.remaps[t.name].family(t.family)) if t.name in self.remaps else t
            for t in task.targets
        )
        return replace(task, targets=targets)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the estimator's fingerprint and the remaps, hexadecimal."""
        remaps = {
            name: [type(remap).__name__, asdict(remap)] for name, remap in self.remaps.items()
        }
        text = json.dumps([self.estimator.fingerprint, remaps], sort_keys=True)
        return hashlib.sha256(f"calibrated {text}".encode()).hexdigest()

    @property
    def facts(self) -> dict[str, str]:
        """Facts of the estimator, and its remaps."""
        remaps = [f"{type(remap).__name__} of {name}" for name, remap in self.remaps.items()]
        return {**self.estimator.facts, "Calibration": ", ".join(remaps) or "none"}

    def fit(
        self,
        shards: Shards,
        train: NDArray[np.integer],
        validation: NDArray[np.integer] | None = None,
        **options: Any,
    ) -> Calibrated:
        """Train the estimator again and drop the remaps, which belong to the previous fit.

        `astrocnn.calibration.calibrate` fits new ones on predictions of validation objects.
        """
        self.remaps = {}
        self.estimator.fit(shards, train, validation, **options)
        return self

    def sample(
        self,
        images: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> dict[str, NDArray[np.float32]]:
        """Predict objects and remap each draw; see `astrocnn.estimators.Estimator.sample`."""
        samples = self.estimator.sample(images, scalars, draws=draws, seed=seed, views=views)
        return self._remap(samples)

    def sample_with_features(
        self, images: Any, scalars: Any = None, **options: Any
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Remapped samples, and features of the estimator, in one pass."""
        samples, features = sample_with_features(self.estimator, images, scalars, **options)
        return self._remap(samples), features

    def _remap(self, samples: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        for name, remap in self.remaps.items():
            family = self.estimator.task.target(name).family
            samples[name] = remap.apply(family, samples[name])
        return samples

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder with ``estimator.json``, the remaps, and a folder for the estimator."""
        with replacing_folder(directory) as folder:
            self.estimator.save(folder / _INSIDE)
            made = Calibration(self.estimator.fingerprint, self.remaps)
            calibration.write(folder / _REMAPS, made)
            write_json(folder / ABOUT, {"kind": "calibrated"})

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Calibrated:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            If a file is missing or damaged, or the remaps were made for another model.
        """
        folder = Path(directory)
        estimator = load_estimator(folder / _INSIDE)
        return cls(estimator, calibration.read(folder / _REMAPS, estimator.fingerprint).remaps)


ESTIMATOR = Calibrated


def example(task: Task, inputs: Inputs) -> Calibrated:
    """A small instance for the contract tests."""
    inside = plugins.load_module("astrocnn.estimators", "classical")
    return Calibrated(inside.example(task, inputs), {})
