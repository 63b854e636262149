"""A network in the folder of a saved estimator."""

from __future__ import annotations

import zipfile
from pathlib import Path

from astrocnn.backend import keras
from astrocnn.errors import ModelError

__all__ = ["read_network", "write_network"]

_FILE = "model.keras"


def write_network(folder: Path, model: keras.Model) -> None:
    """Write a network."""
    model.save(folder / _FILE)


def read_network(folder: Path) -> keras.Model:
    """Read a network; nothing in its file is executed.

    Raises
    ------
    ModelError
        If the file is missing or damaged.
    """
    path = folder / _FILE
    if not zipfile.is_zipfile(path):
        raise _unreadable(folder, f"{path.name} is {'damaged' if path.is_file() else 'missing'}")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    # What Keras raises on a damaged file depends on the byte.
    except Exception as error:
        raise _unreadable(folder, f"{type(error).__name__}: {error}") from error


def _unreadable(folder: Path, received: str) -> ModelError:
    return ModelError(
        f"The network in '{folder}' cannot be read.",
        received=received,
        hint="copy the folder again, or train again",
    )
