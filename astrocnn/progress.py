"""Progress of long work: a bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["Meter", "track"]

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over `items`, showing rate and time left when stderr is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Meter(description, total) as meter:
        for item in items:
            yield item
            meter.advance(1)


class Meter:
    """A bar for work whose parts end in any order, with a rate of objects and a note.

    Parameters
    ----------
    description : str
        What is done.
    total : int, optional
        Number of parts.
    unit : str
        What the objects are called.

    Examples
    --------
    >>> with Meter("predicting", 10, "objects") as meter:
    ...     meter.advance(1, 4096, "2 workers")
    """

    def __init__(self, description: str, total: int | None = None, unit: str = "") -> None:
        self._description, self._total, self._unit = description, total, unit
        self._bar: Any = None
        self._objects = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _build_bar()
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self._total, note="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, parts: int = 0, objects: int = 0, note: str = "") -> None:
        """Count what has ended.

        Parameters
        ----------
        parts : int
            How many parts.
        objects : int
            Number of objects in them that were computed now.
        note : str
            Shown at the end of the line.
        """
        if self._bar is None:
            return
        self._objects += objects
        seconds = self._bar.tasks[self._task].elapsed
        if self._objects and seconds:
            note = f"{self._objects / seconds:.3g} {self._unit}/s, {note}".rstrip(", ")
        self._bar.update(self._task, advance=parts, note=note)


def _build_bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True))
