"""Curves and figures of a training for TensorBoard and MLflow, while it runs."""

from __future__ import annotations

import io
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from astrocnn.backend import tf
from astrocnn.errors import MissingDependency
from astrocnn.training.history import History

__all__ = ["LOGGERS", "Logger", "open_loggers"]


class Logger(ABC):
    """Where curves and figures go; called with the history after each epoch.

    An interrupted training that is continued adds to what is there.
    """

    def __call__(self, history: History) -> None:
        """Write the numbers of the last epoch."""
        row = history.rows[-1]
        values = {k: float(v) for k, v in row.items() if k != "epoch" and math.isfinite(v)}
        self.log_values(values, int(row["epoch"]))

    @abstractmethod
    def log_values(self, values: dict[str, float], epoch: int) -> None:
        """Write numbers of an epoch, counted from 1."""

    @abstractmethod
    def log_picture(self, name: str, png: bytes) -> None:
        """Write a figure, as PNG."""

    @abstractmethod
    def open_part(self, name: str) -> Logger:
        """A logger for the curves of one of several trainings, such as a member of an ensemble."""

    @abstractmethod
    def close(self) -> None:
        """Write what is not written yet."""


class TensorBoardLogger(Logger):
    """Event files of TensorBoard, which TensorFlow writes by itself.

    Parameters
    ----------
    folder : Path
        Given to ``tensorboard --logdir``.
    title : str
        Unused: TensorBoard names runs by their folders.
    """

    def __init__(self, folder: Path, title: str = "") -> None:
        self._folder, self._parts = folder, dict[str, Logger]()
        self._writer: Any = None

    @property
    def _open_writer(self) -> Any:
        # Opened late: a training that is finished already leaves no empty file.
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        return self._writer

    def log_values(self, values: dict[str, float], epoch: int) -> None:
        """Write scalars."""
        with self._open_writer.as_default(step=epoch):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def log_picture(self, name: str, png: bytes) -> None:
        """Write an image."""
        pixels: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        with self._open_writer.as_default(step=0):
            tf.summary.image(name, pixels[None])
        self._writer.flush()

    def open_part(self, name: str) -> Logger:
        """A logger in a folder inside, once."""
        return self._parts.setdefault(name, TensorBoardLogger(self._folder / name))

    def close(self) -> None:
        """Close the files."""
        for part in self._parts.values():
            part.close()
        if self._writer is not None:
            self._writer.close()


class MlflowLogger(Logger):
    """A run of MLflow, at ``MLFLOW_TRACKING_URI`` or in a local folder.

    Parameters
    ----------
    folder : Path
        Where the run is kept, if the environment names no server.
    title : str
        Name of the run.

    Raises
    ------
    MissingDependency
        If MLflow is not installed.
    """

    def __init__(self, folder: Path, title: str = "") -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise MissingDependency("mlflow", "mlflow", "to log a training to MLflow") from error
        address = os.environ.get("MLFLOW_TRACKING_URI") or folder.resolve().as_uri()
        self._client, self._prefix = MlflowClient(address), ""
        found = self._client.get_experiment_by_name("astrocnn")
        experiment = found.experiment_id if found else self._client.create_experiment("astrocnn")
        tags = {"mlflow.runName": title}
        self._run = self._client.create_run(experiment, tags=tags).info.run_id

    def log_values(self, values: dict[str, float], epoch: int) -> None:
        """Write metrics."""
        for name, value in values.items():
            self._client.log_metric(self._run, self._prefix + name, value, step=epoch)

    def log_picture(self, name: str, png: bytes) -> None:
        """Write an artifact."""
        picture = Image.open(io.BytesIO(png))
        self._client.log_image(self._run, picture, f"{name.replace(' ', '_')}.png")

    def open_part(self, name: str) -> Logger:
        """The same run, with the name before that of each metric."""
        part = object.__new__(MlflowLogger)
        part.__dict__.update(self.__dict__)
        part._prefix = f"{name}/"
        return part

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._run)


LOGGERS: dict[str, type[TensorBoardLogger] | type[MlflowLogger]] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
}
"""By name."""


@contextmanager
def open_loggers(names: Sequence[str], folder: Path, title: str) -> Iterator[list[Logger]]:
    """Loggers by name, each in a folder of its name, which are closed at the end.

    Raises
    ------
    MissingDependency
        If the package of one is not installed.
    """
    loggers: list[Logger] = [LOGGERS[name](folder / name, title) for name in names]
    try:
        yield loggers
    finally:
        for logger in loggers:
            logger.close()
