"""The run directory and its files."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import platform
import re
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from astrocnn import __version__, calibration, estimators
from astrocnn.atomic import (
    exclusive,
    remove_leftovers,
    replacing_folder,
    restore_folder,
    write_bytes,
    write_text,
)
from astrocnn.backend import get_versions
from astrocnn.calibration.base import StoredExtra
from astrocnn.errors import AstrocnnError, ConfigError
from astrocnn.plugins import nearest_file
from astrocnn.runs.config import dump_portable, load_run
from astrocnn.runs.sections import RunConfig
from astrocnn.stored_files import Stored, read_arrays, read_json

__all__ = ["Environment", "RunDirectory", "differences"]


class Environment(Stored):
    """Versions of Python and packages, and the machine."""

    python: str
    platform: str
    processor: str
    packages: dict[str, str | None]


class _Scored(BaseModel):
    """The part of a file of scores that names its objects."""

    split: str


class RunDirectory:
    """A folder with all outputs of one run, at fixed paths.

    ============================  =====================================================
    ``config.toml``               the run, resolved
    ``leaves/``                   copies of the user's own files that it names
    ``environment.json``          versions of Python and packages, the machine
    ``shards/``                   cutouts (see `astrocnn.datasets`)
    ``model/``                    the trained estimator: ``model.keras``, ``inputs.json``, ...,
                                  and its novelty score
    ``history.csv``               losses and metrics per epoch
    ``backup/``                   state to resume an interrupted training from
    ``calibration.json``          what was fitted on the validation split
    ``evaluation/``               draws on the test split, kept for reports without a new scoring
    ``scores.json``               scores with intervals
    ``scores_NAME.json``          those of another catalogue
    ``test_scorings.json``        every time the test split, or another catalogue, was scored
    ``explanations/``             maps of objects and of the network as a whole
    ``figures/``, ``report.html`` what a person looks at
    ``tensorboard/``, ``mlflow/`` curves of the training, where ``training.log_to`` asks for them
    ``coverage.fits``             cells of the sky with objects (MOC)
    ``.lock``                     held by the command that writes
    ============================  =====================================================

    Parameters
    ----------
    path : path-like
        The folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.toml"
        self.shards = self.path / "shards"
        self.model = self.path / "model"
        self.history = self.path / "history.csv"
        self.backup = self.path / "backup"
        self.novelty = self.model / "novelty.json"
        self.calibration = self.path / "calibration.json"
        self.evaluation = self.path / "evaluation"
        self.judged = self.evaluation / "calibration.npz"
        self.scores = self.path / "scores.json"
        self.explanations = self.path / "explanations"
        self.figures = self.path / "figures"
        self.report = self.path / "report.html"
        self.coverage = self.path / "coverage.fits"
        self._scorings = self.path / "test_scorings.json"

    @classmethod
    def create(cls, path: str | Path, config: RunConfig) -> RunDirectory:
        """Create the folder of a run, or continue in an existing one.

        Raises
        ------
        ConfigError
            If the folder belongs to another run: a changed run deserves another folder.
        """
        run = cls(path)
        text, files = dump_portable(config)
        exists = run.config_file.is_file()
        if exists and (old := run.config_file.read_text(encoding="utf-8")) != text:
            before = tomllib.loads(old)
            given = config.model_dump(exclude_defaults=True)
            after = _drop_new_defaults(tomllib.loads(text), before, given)
            if before != after:
                changed = differences(before, after)
                raise ConfigError(
                    f"{run.path} holds another run; it differs in: {', '.join(changed)}.",
                    hint="choose another --out, or remove that folder to start afresh",
                )
        if not exists:
            for name, content in files.items():
                write_bytes(run.path / name, content)
            write_text(run.config_file, text)
        write_text(run.path / "environment.json", _environment().model_dump_json(indent=2) + "\n")
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Open an existing run directory.

        Raises
        ------
        ConfigError
            If the folder is not a run directory.
        """
        run = cls(path)
        if not run.config_file.is_file():
            raise ConfigError(
                f"{path} is not a run directory: it holds no config.toml.",
                hint=(None if run.path.exists() else nearest_file(run.path))
                or "give the folder that was named with --out to 'astrocnn train'",
            )
        return run

    def config(self) -> RunConfig:
        """Configuration of the run.

        The directory may be a stranger's: code that it names is imported only if it is trusted.
        """
        return load_run(self.config_file, trusted=False)

    def require(self, path: Path, verb: str) -> Path:
        """Return the path of an output; raise, naming the command that writes it, if missing."""
        if not path.exists():
            raise ConfigError(
                f"{self.path} holds no {path.name} yet.",
                hint=f"run 'astrocnn {verb}' first",
            )
        return path

    def estimator(self) -> tuple[estimators.Estimator, tuple[StoredExtra, ...]]:
        """The trained estimator, calibrated if the run is, and what adds columns to its tables.

        Raises
        ------
        ConfigError
            If the run has not been trained.
        ModelError
            If its calibration or novelty score was made for another model.
        """
        estimator = estimators.load_estimator(self.require(self.model, "train"))
        extras: tuple[StoredExtra, ...] = ()
        if self.novelty.is_file():
            extras = calibration.read(self.novelty, estimator.fingerprint).extras
        if not self.calibration.is_file():
            return estimator, extras
        made = calibration.read(self.calibration, estimator.fingerprint)
        return estimators.Calibrated(estimator, made.remaps), (*extras, *made.extras)

    def save_estimator(
        self, estimator: estimators.Estimator, novelty: calibration.Novelty | None
    ) -> None:
        """Write the trained estimator and its novelty score, if it has one, as one folder."""
        with replacing_folder(self.model) as folder:
            # In a folder of its own: to replace the one that is locked would unlock it.
            whole = folder / "estimator"
            estimator.save(whole)
            for part in whole.iterdir():
                part.rename(folder / part.name)
            whole.rmdir()
            if novelty is not None:
                made = calibration.Calibration(estimator.fingerprint, {}, (novelty,))
                calibration.write(folder / self.novelty.name, made)

    @contextlib.contextmanager
    def reading(self, path: Path, verb: str) -> Iterator[Path]:
        """Yield the path of an output; errors from a damaged file become `AstrocnnError`.

        Raises
        ------
        ConfigError
            If the file is absent, or does not hold what it should.
        """
        self.require(path, verb)
        try:
            yield path
        except AstrocnnError:
            raise
        except Exception as error:  # damaged bytes raise errors of many kinds
            raise ConfigError(
                f"The file {path} is damaged.",
                received=str(error) or type(error).__name__,
                hint=_remove(path, verb),
            ) from error

    def read_json(self, path: Path, schema: Any, verb: str) -> Any:
        """Read a JSON output; see `astrocnn.stored_files.read_json`."""
        self.require(path, verb)
        return read_json(path, schema, ConfigError, _remove(path, verb))

    def read_arrays(self, path: Path, verb: str) -> dict[str, np.ndarray]:
        """Read an output of arrays; see `astrocnn.stored_files.read_arrays`."""
        self.require(path, verb)
        return read_arrays(path, ConfigError, _remove(path, verb))

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the lock of the folder while a command writes to it.

        What a process that was killed left half-written is removed.

        Raises
        ------
        ConfigError
            If another process holds it.
        """
        with exclusive(self.path / ".lock") as held:
            if not held:
                raise ConfigError(
                    f"Another process is writing to {self.path}.",
                    hint="wait until it has ended, or choose another --out",
                )
            restore_folder(self.model)
            for folder in (self.path, self.backup, self.evaluation, self.figures):
                remove_leftovers(folder)
            yield

    def curves(self) -> dict[str, list[float]]:
        """Columns of ``history.csv``, a number per epoch; none before the first epoch has ended.

        Raises
        ------
        ConfigError
            If the file is damaged.
        """
        if not self.history.is_file():
            return {}
        with self.reading(self.history, "train") as path, open(path, newline="") as stream:
            lines = list(csv.DictReader(stream))
            # What was not measured in an epoch is an empty cell.
            return {name: [float(line[name] or "nan") for line in lines] for name in lines[0]}

    def kept_draws(self, names: Iterable[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Rows of the last evaluation, and its draws of some targets by name.

        Raises
        ------
        ConfigError
            If the run has not been evaluated, or the file is damaged.
        """
        kept = self.read_arrays(self.evaluation / "samples.npz", "evaluate")
        with self.reading(self.evaluation / "samples.npz", "evaluate"):
            return kept["rows"], {name: kept[f"target/{name}"] for name in names}

    def count_scoring(self, model_sha256: str, name: str = "test") -> int:
        """Record that objects are scored now; returns how often they have been.

        Parameters
        ----------
        model_sha256 : str
            Fingerprint of the estimator.
        name : str
            Of the catalogue as `name_scores` gives it, or ``"test"`` for the test split.
        """
        log: list[dict[str, str]] = []
        if self._scorings.is_file():
            log = self.read_json(self._scorings, list[dict[str, str]], "evaluate")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        log.append({"time": now, "model": model_sha256, "objects": name})
        write_text(self._scorings, json.dumps(log, indent=2) + "\n")
        return sum(entry.get("objects", "test") == name for entry in log)

    def name_scores(self, catalog: Path) -> tuple[str, Path]:
        """Name and file of the scores of a catalogue: its stem, numbered if that is taken."""
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", catalog.name.split(".")[0]) or "catalog"
        for number in itertools.count(1):
            name = stem if number == 1 else f"{stem}-{number}"
            file = self.path / f"scores_{name}.json"
            if not file.is_file():
                break
            if self.read_json(file, _Scored, "evaluate").split == str(catalog.resolve()):
                break
        return name, file

    def other_scores(self) -> list[Path]:
        """Files with the scores of other catalogues."""
        return sorted(self.path.glob("scores_*.json"))


def _remove(path: Path, verb: str) -> str:
    return f"remove {path.name} and run 'astrocnn {verb}' again"


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Dotted paths of the values in which the tables of two run files differ."""
    changed = []
    for key in a.keys() | b.keys():
        if a.get(key) != b.get(key):
            one, other = a.get(key), b.get(key)
            if isinstance(one, dict) and isinstance(other, dict):
                keys = sorted(set(one) | set(other))
                changed += [f"{key}.{k}" for k in keys if one.get(k) != other.get(k)]
            else:
                changed.append(key)
    return sorted(changed) or ["formatting of config.toml"]


def _drop_new_defaults(after: Any, before: Any, given: Any) -> Any:
    """Leave out defaults of keys that an older version of the package did not have."""
    if not all(isinstance(table, dict) for table in (after, before, given)):
        return after
    return {
        key: _drop_new_defaults(value, before.get(key), given.get(key, {}))
        for key, value in after.items()
        if key in before or key in given
    }


def _environment() -> Environment:
    libraries = ("numpy", "astropy", "scikit-learn", "scipy")
    return Environment(
        python=sys.version.split()[0],
        platform=platform.platform(),
        processor=platform.machine(),
        packages={
            "astrocnn": __version__,
            **get_versions(),
            **{name: metadata.version(name) for name in libraries},
        },
    )
