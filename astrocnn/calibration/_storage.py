"""The calibration of one model, and its files: JSON, and the arrays."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn import plugins
from astrocnn.atomic import write_bytes, write_text
from astrocnn.calibration.base import Remap, StoredExtra
from astrocnn.errors import ConfigError, ModelError

__all__ = ["Calibration", "read", "write"]

_FORMAT = 1
_PACKAGE = "astrocnn.calibration"


@dataclass(frozen=True)
class Calibration:
    """Remaps, extras and scores fitted on the validation objects of one model.

    Parameters
    ----------
    model : str
        Fingerprint of the estimator it belongs to, before any calibration.
    remaps : mapping of str to Remap
        By target; others stay as they are.
    extras : tuple of StoredExtra
        For samples after the remaps.
    table : tuple of mapping
        Scores with the keys ``target``, ``score``, ``before``, ``after``, ``expected`` and ``n``,
        cross-fitted: fitted on one half of the validation objects, scored on the other.
        ``before`` is None for what exists only after; ``expected`` is the mean of the score for
        so many objects and a perfectly calibrated model, None where that is not a gap.
    """

    model: str
    remaps: Mapping[str, Remap]
    extras: tuple[StoredExtra, ...] = ()
    table: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)


def write(path: str | os.PathLike[str], calibration: Calibration) -> None:
    """Write a calibration atomically.

    Parameters
    ----------
    path : path-like
        A JSON file.  Arrays, if there are any, go into a ``.npz`` file beside it, whose name ends
        in a digest of what it holds.
    calibration : Calibration
        What is written.
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    content: dict[str, Any] = {
        "format": _FORMAT,
        "model": calibration.model,
        "remaps": {name: _to_values(remap) for name, remap in calibration.remaps.items()},
        "extras": [],
        "table": [dict(row) for row in calibration.table],
    }
    for i, extra in enumerate(calibration.extras):
        values = _to_values(extra)
        for key in [key for key, value in values.items() if isinstance(value, np.ndarray)]:
            arrays[f"{i}/{key}"] = values.pop(key)
        content["extras"].append(values)
    if arrays:
        stream = io.BytesIO()
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        data = stream.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        content["arrays"] = f"{path.stem}-{digest[:12]}.npz"
        content["sha256"] = digest
        write_bytes(path.parent / content["arrays"], data)
    write_text(path, json.dumps(content, indent=1) + "\n")
    for old in path.parent.glob(f"{path.stem}-*.npz"):
        if old.name != content.get("arrays"):
            old.unlink()


def read(path: str | os.PathLike[str], model: str | None = None) -> Calibration:
    """Read a calibration; nothing in the files is executed.

    Parameters
    ----------
    path : path-like
        What `write` wrote.
    model : str, optional
        Fingerprint of the estimator it is meant for.

    Returns
    -------
    Calibration

    Raises
    ------
    ModelError
        If a file is missing or damaged, or the calibration was made for another model.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, not {_FORMAT}")
        arrays = _read_arrays(path, content)
        extras = []
        for i, values in enumerate(content["extras"]):
            own = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{i}/")}
            extras.append(_from_values({**values, **own}))
        calibration = Calibration(
            content["model"],
            {name: _from_values(values) for name, values in content["remaps"].items()},
            tuple(extras),
            tuple(content["table"]),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as bad:
        raise ModelError(
            f"The calibration cannot be read: {path}",
            received=f"{type(bad).__name__}: {bad}",
            hint="calibrate again",
        ) from bad
    if model is not None and model != calibration.model:
        raise ModelError(
            f"The calibration in {path.name} was made for another model.",
            received=f"model {calibration.model[:12]}",
            allowed=f"model {model[:12]}",
            hint="the model was trained again since: calibrate again",
        )
    return calibration


def _to_values(part: Remap | StoredExtra) -> dict[str, Any]:
    kind = type(part)
    return {"kind": kind.__module__.rpartition(".")[2], "class": kind.__name__, **part.to_dict()}


def _from_values(values: Mapping[str, Any]) -> Any:
    values = dict(values)
    module = plugins.load_module(_PACKAGE, values.pop("kind"))
    name = values.pop("class")
    # A file may load remaps and extras only.
    if name not in module.__all__ or not isinstance(getattr(module, name), type):
        raise ConfigError("There is no such part of a calibration.", received=name)
    return getattr(module, name).from_dict(values)


def _read_arrays(path: Path, content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if "arrays" not in content:
        return {}
    data = (path.parent / Path(content["arrays"]).name).read_bytes()
    if hashlib.sha256(data).hexdigest() != content["sha256"]:
        raise ValueError(f"{content['arrays']} is damaged")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}
