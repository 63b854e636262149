"""The state of a training on disk, from which it continues after any interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from astrocnn.atomic import replacing
from astrocnn.errors import TrainingError
from astrocnn.stored_files import Stored, parse_json, read_arrays

__all__ = ["Arrays", "Backup"]


Arrays: TypeAlias = dict[str, list[np.ndarray]]
"""Variables by owner: the model (with its random states), the optimizer, the best weights."""


class _Notes(Stored):
    fingerprint: dict[str, Any]
    notes: dict[str, Any]


class Backup:
    """One file in a folder, replaced whole after each epoch.

    Parameters
    ----------
    directory : path
        Where ``state.npz`` is kept.
    fingerprint : mapping, optional
        What must be the same for a training to be continued beside its network, targets and
        options, which `fit` adds: for instance what the network was initialized with.  JSON.
    """

    def __init__(
        self, directory: str | os.PathLike[str], fingerprint: Mapping[str, Any] | None = None
    ) -> None:
        self.directory = Path(directory)
        self.path = self.directory / "state.npz"
        self.fingerprint = json.loads(json.dumps(dict(fingerprint or {})))

    def extend(self, fingerprint: Mapping[str, Any]) -> Backup:
        """The same folder with more that must be the same."""
        return Backup(self.directory, {**self.fingerprint, **fingerprint})

    def save(self, arrays: Arrays, notes: Mapping[str, Any]) -> None:
        """Replace the backup by variables and notes (JSON)."""
        # One file, so that weights and history can never be of different epochs.
        text = json.dumps({"fingerprint": self.fingerprint, "notes": notes})
        stored = {
            f"{owner}/{i:05d}": array
            for owner, group in arrays.items()
            for i, array in enumerate(group)
        }
        # As bytes: a string array would need pickle to be read back.
        stored["notes"] = np.frombuffer(text.encode(), dtype=np.uint8)
        with replacing(self.path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **stored)  # type: ignore[arg-type]

    def load(self) -> tuple[Arrays, dict[str, Any]] | None:
        """Variables and notes of the last backup, or None when there is none.

        Raises
        ------
        TrainingError
            If the file is damaged, or belongs to a training with another network or settings.
        """
        if not self.path.exists():
            return None
        hint = "delete the folder to train from the beginning"
        stored = read_arrays(self.path, TrainingError, hint)
        notes = stored.pop("notes", np.empty(0)).tobytes()
        written = parse_json(notes, _Notes, f"'{self.path}'", TrainingError, hint)
        arrays: Arrays = {}
        # The numbers are padded with zeros, so sorting restores the order.
        for key in sorted(stored):
            arrays.setdefault(key.partition("/")[0], []).append(stored[key])
        if written.fingerprint != self.fingerprint:
            # Continuing with another optimizer or network would silently give other weights.
            old, new = written.fingerprint, self.fingerprint
            changed = [k for k in {**old, **new} if old.get(k) != new.get(k)]
            raise TrainingError(
                f"The backup in {self.path.parent} belongs to another training: "
                f"{', '.join(changed)} changed since.",
                received="; ".join(f"{k} = {new.get(k)}" for k in changed),
                allowed="; ".join(f"{k} = {old.get(k)}" for k in changed),
                hint="train into another folder, or delete this one to train from the beginning",
            )
        return arrays, written.notes
