"""Tables of plain values in the folder of a saved estimator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astrocnn.errors import ModelError

__all__ = ["read_json", "write_json"]


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a table of plain values."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a table of plain values.

    Raises
    ------
    ModelError
        If the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a table was expected, not {type(content).__name__}")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"A file of the saved estimator cannot be read: {path}", received=str(error)
        ) from error
    return content
