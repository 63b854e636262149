"""The exceptions of astrocnn.

Every error a user can meet is an `AstrocnnError` that says, in this order, what is
wrong, what was received, what is allowed and what to try next.  A problem with a single
object is not an exception but a bit in its flags (see `astrocnn.flags`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = [
    "AstrocnnError",
    "AstrocnnWarning",
    "CatalogError",
    "ClusterError",
    "ConfigError",
    "ImageError",
    "InputsError",
    "MissingFileError",
    "MissingDependency",
    "RemoteError",
    "ModelError",
    "PredictionError",
    "TrainingError",
    "register_alias",
    "register_expansion",
]


_EXPANDED: dict[str, str] = {}


def register_expansion(name: str, value: str) -> None:
    """Have all messages show ``$name`` where they would show the value of that variable.

    Run and survey files of others can name any environment variable, and messages get shared.
    """
    # A few letters would occur in many messages, by themselves.
    if len(value) > 3:
        _EXPANDED[value] = f"${name}"


def register_alias(text: str, shown: str) -> None:
    """Have all messages show a text in place of another: the address of a copy in the cache."""
    _EXPANDED[text] = shown


def _hide_expansions(text: str) -> str:
    for value in sorted(_EXPANDED, key=len, reverse=True):
        text = text.replace(value, _EXPANDED[value])
    return text


class AstrocnnWarning(UserWarning):
    """Base of all warnings of astrocnn: what was counted apart, and what looks odd."""

    def __init__(self, message: str = "") -> None:
        super().__init__(_hide_expansions(str(message)))


class AstrocnnError(Exception):
    """Base of all errors raised on purpose by astrocnn.

    Parameters
    ----------
    what : str
        A sentence that says what is wrong.
    received : object, optional
        The offending value.
    allowed : object, optional
        What would have been accepted: a sentence, or an iterable of names.
    hint : str, optional
        What to try next.
    """

    def __init__(
        self,
        what: str,
        *,
        received: object = None,
        allowed: object = None,
        hint: str | None = None,
    ) -> None:
        self.what = _hide_expansions(what)
        # An iterator would be used up by the first message.
        self.received = list(received) if isinstance(received, Iterator) else received
        self.allowed = list(allowed) if isinstance(allowed, Iterator) else allowed
        self.hint = hint
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.received is not None:
            lines.append(f"  received: {_shown(self.received)}")
        if self.allowed is not None:
            lines.append(f"  allowed:  {_shown(self.allowed)}")
        if self.hint is not None:
            lines.append(f"  try:      {self.hint}")
        return _hide_expansions("\n".join(lines))


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    # An array without dimensions has the methods of an iterable, and is none.
    iterable = isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0
    if isinstance(value, Iterable) and iterable and not isinstance(value, (bytes, dict)):
        items = [str(item) for item in value]
        if len(items) > 20:
            items = [*items[:20], f"... ({len(items)} in all)"]
        return ", ".join(items)
    return repr(value)


class ConfigError(AstrocnnError, ValueError):
    """A run file, an option or an argument is wrong."""


class CatalogError(AstrocnnError, ValueError):
    """A catalogue cannot be read or its columns cannot be used."""


class ImageError(AstrocnnError, ValueError):
    """An image file cannot be read, or is not an image with celestial coordinates."""


class MissingFileError(ImageError):
    """An image file does not exist."""


class RemoteError(AstrocnnError, OSError):
    """A server does not answer, refuses, or cannot do what is needed; nothing is known of a file.

    Unlike an image that is missing or damaged, this is no matter of one object: work stops.
    """


class InputsError(AstrocnnError, ValueError):
    """Images differ in bands, size, scale or unit from those a model was trained on."""


class ModelError(AstrocnnError, ValueError):
    """A network cannot be built, loaded or used in the way asked for."""


class TrainingError(AstrocnnError, RuntimeError):
    """Training could not start or had to stop (for instance a loss that is not a number)."""


class PredictionError(AstrocnnError, RuntimeError):
    """A catalogue-scale prediction cannot be continued or merged."""


class ClusterError(AstrocnnError, RuntimeError):
    """Workers or the scheduler of a cluster did not come, or were lost."""


class MissingDependency(AstrocnnError, ImportError):
    """An optional package is needed.

    Parameters
    ----------
    package : str
        The import name that was not found.
    extra : str
        The extra of astrocnn that brings it.
    purpose : str
        What it is needed for, to complete the sentence "... is needed to ...".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"The package '{package}' is needed to {purpose}, and is not installed.",
            hint=f"pip install 'astrocnn[{extra}]'",
        )
        self._arguments = (package, extra, purpose)

    def __reduce__(self) -> Any:
        # By default with one argument, the message: an error of a worker could not be loaded.
        return type(self), self._arguments
