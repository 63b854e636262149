"""File names in surveys: environment variables, templates, globs and archives."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Any

from astrocnn.errors import ConfigError, ImageError

__all__ = ["cache_folder", "expand", "split_hdu", "tile_files", "with_band"]

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_BRACKET = re.compile(r"^(.*\S)\[([\w, -]+)\]$")


def cache_folder() -> Path:
    """Where is kept what can be made again: ``$XDG_CACHE_HOME/astrocnn``, or under ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrocnn"


def expand(text: str, root: Path) -> str:
    """Replace ``$NAME``, ``${NAME}`` and ``~``, and put a relative path under `root`.

    Raises
    ------
    ConfigError
        If an environment variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in os.environ:
            raise ConfigError(
                f"The environment variable {name} is not set.",
                received=text,
                hint=f"export {name}=/path/to/the/files",
            )
        return os.environ[name]

    path = os.path.expanduser(_VARIABLE.sub(value, text))
    return path if os.path.isabs(path) else os.path.join(root, path)


def with_band(value: Any, name: str) -> Any:
    """Put the band's name in place of ``{band}`` in every string of a nested value."""
    if isinstance(value, str):
        return value.replace("{band}", name)
    if isinstance(value, dict):
        return {key: with_band(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(with_band(item, name) for item in value)
    return value


def split_hdu(text: str) -> tuple[str, int | str | None]:
    """Split ``"file.fits[SCI]"`` into the file and the HDU's name or number.

    >>> split_hdu("a.fits[2]"), split_hdu("tile[0-9].fits")
    (('a.fits', 2), ('tile[0-9].fits', None))
    """
    match = _BRACKET.match(text)
    if not match:
        return text, None
    path, hdu = match.group(1), match.group(2).strip()
    return path, int(hdu) if hdu.lstrip("-").isdigit() else hdu


def tile_files(patterns: str | tuple[str, ...], what: str) -> list[tuple[Path, int | str | None]]:
    """Files that paths or glob patterns name, sorted within each pattern, with their HDU.

    Raises
    ------
    ImageError
        If a pattern names no file.
    """
    found: list[tuple[Path, int | str | None]] = []
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        path, hdu = split_hdu(pattern)
        if os.path.exists(path):
            found.append((Path(path), hdu))
            continue
        names = sorted(glob.glob(path, recursive=True))
        if not names:
            raise ImageError(f"There is no file for {what}.", received=path)
        found += [(Path(name), hdu) for name in names]
    return found
