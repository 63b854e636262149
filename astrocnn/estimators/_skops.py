"""Fitted scikit-learn objects on disk, without pickle: nothing in a file is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astrocnn.errors import ModelError

__all__ = ["read", "write"]


def write(path: Path, states: dict[str, Any]) -> None:
    """Write what was learned."""
    import skops.io

    skops.io.dump(states, path)


def read(path: Path, trusted: tuple[str, ...]) -> dict[str, Any]:
    """Read what `write` wrote.

    Parameters
    ----------
    path : Path
    trusted : tuple of str
        Types allowed beside those that skops knows to be harmless.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or holds other types.
    """
    import skops.io

    try:
        strangers = sorted(set(skops.io.get_untrusted_types(file=path)) - set(trusted))
        if not strangers:
            return dict(skops.io.load(path, trusted=list(trusted)))
    # What comes of a damaged file depends on the byte.
    except Exception as error:
        raise ModelError(
            f"What was learned cannot be read from '{path}'.",
            received=f"{type(error).__name__}: {error}",
            hint="copy the folder again, or train again",
        ) from error
    raise ModelError(
        f"'{path}' holds types that the method does not need; it is not loaded.",
        received=strangers,
        allowed=trusted,
        hint="take the file from where it was trained, or train again",
    )
