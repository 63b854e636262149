"""The calibration of one model, and its files: JSON, and the arrays."""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from astrocnn import plugins
from astrocnn.atomic import write_bytes, write_text
from astrocnn.calibration.base import Remap, StoredExtra
from astrocnn.errors import ModelError
from astrocnn.stored_files import Stored, read_arrays, read_json, validate

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
    notes : tuple of str
        Targets whose predictions are left as they are, and why; targets with few objects.
    """

    model: str
    remaps: Mapping[str, Remap]
    extras: tuple[StoredExtra, ...] = ()
    table: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


class _Content(Stored):
    """A calibration file."""

    format: Literal[1]
    model: str
    remaps: dict[str, dict[str, Any]]
    extras: tuple[dict[str, Any], ...]
    table: tuple[dict[str, str | int | float | None], ...]
    notes: tuple[str, ...] = ()
    # A name, never a path to somewhere else.
    arrays: str | None = Field(None, pattern=r"^[^/\\]+\.npz$")
    sha256: str | None = None


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
        "notes": list(calibration.notes),
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
    for old in path.parent.glob(f"{glob.escape(path.stem)}-{'[0-9a-f]' * 12}.npz"):
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

    Raises
    ------
    ModelError
        If a file is missing or damaged, or the calibration was made for another model.
    """
    path = Path(path)
    hint = "calibrate again"
    content = read_json(path, _Content, ModelError, hint)
    arrays: dict[str, np.ndarray] = {}
    if content.arrays is not None:
        arrays = _read_arrays(path.parent / content.arrays, content.sha256, hint)
    extras = []
    for i, values in enumerate(content.extras):
        own = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{i}/")}
        extras.append(_from_values({**values, **own}, StoredExtra, path, hint))
    calibration = Calibration(
        content.model,
        {name: _from_values(values, Remap, path, hint) for name, values in content.remaps.items()},
        tuple(extras),
        content.table,
        content.notes,
    )
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
    return {"kind": kind.__module__.rpartition(".")[2], "class": kind.__name__, **asdict(part)}


def _from_values(values: Mapping[str, Any], interface: Any, path: Path, hint: str) -> Any:
    values = dict(values)
    kind, name = values.pop("kind", None), values.pop("class", None)
    # A file may load remaps and extras only.
    known = plugins.module_names(_PACKAGE) if isinstance(kind, str) else ()
    module = plugins.load_module(_PACKAGE, kind) if kind in known else None
    part = getattr(module, name, None) if name in getattr(module, "__all__", ()) else None
    if not isinstance(part, type) or not hasattr(part, "fit"):
        raise ModelError(
            f"'{path}' cannot be read.",
            received=f"no {interface.__name__} {kind!r}, {name!r}",
            hint=hint,
        )
    return validate(values, part, f"'{path}'", ModelError, hint)


def _read_arrays(path: Path, digest: str | None, hint: str) -> dict[str, np.ndarray]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read.", received=str(error), hint=hint) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(f"'{path}' cannot be read.", received="another SHA-256", hint=hint)
    return read_arrays(data, ModelError, hint)
