"""The answer to one question."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Parameters
    ----------
    what : str
        The question in a word or two.
    good : bool
        Whether all is well.
    said : str
        What was seen, and what to do about it unless all is well.
    """

    what: str
    good: bool
    said: str
