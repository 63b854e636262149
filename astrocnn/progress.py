"""Progress of long work: a bar on a terminal or in a notebook, silence elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from html import escape
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

__all__ = ["Meter", "track"]

T = TypeVar("T")
DELAY = 2.0
"""Seconds after which a notebook shows a bar: short work leaves no trace in it."""
_PERIOD = 0.3


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over `items`, showing rate and time left on a terminal or in a notebook."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Meter(description, total) as meter:
        for item in items:
            yield item
            meter.advance(1)


class _Depth(threading.local):
    """Number of meters in use, one in another, by thread."""

    value = 0


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

    _depth: ClassVar = _Depth()

    def __init__(self, description: str, total: int | None = None, unit: str = "") -> None:
        self._description, self._total, self._unit = description, total, unit
        self._bar: Any = None
        self._view: _NotebookView | None = None
        self._objects = 0
        self._written = False

    def __enter__(self) -> Self:
        # There is one bar: that of a part of the work would overwrite that of the whole.
        Meter._depth.value += 1
        notebook = _in_notebook()
        if Meter._depth.value > 1 or self._total == 0:
            return self
        if notebook or sys.stderr.isatty():
            # In a notebook it only counts: rich would need another package to draw there.
            self._bar = _build_bar(disable=notebook)
            self._view = _NotebookView() if notebook else None
            self._bar.start()
            self._task = self._bar.add_task(self._description, total=self._total, note="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        Meter._depth.value -= 1
        if self._bar is not None:
            self._bar.stop()
        if self._view is not None:
            self._view.close(self._bar.tasks[self._task])

    @classmethod
    @contextmanager
    def hidden(cls) -> Iterator[None]:
        """Show no bar in the ``with`` block, as in workers."""
        cls._depth.value += 1
        try:
            yield
        finally:
            cls._depth.value -= 1

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
        # Lines above a bar say what the note would.
        self._bar.update(self._task, advance=parts, note="" if self._written else note)
        if self._view is not None:
            self._view.show(self._bar.tasks[self._task])

    def write(self, line: str) -> None:
        """Print a line above the bar of a terminal.

        A line for each step would fill the logs of a batch system: elsewhere there is none.
        """
        if self._bar is not None and self._view is None:
            self._written = True
            self._bar.console.print(line, markup=False, highlight=False)


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class _NotebookView:
    """A bar in the output of a cell, and one line about the work when it has ended."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = time.monotonic() + DELAY

    def show(self, task: Any) -> None:
        """Draw the bar, at most a few times a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PERIOD
        left = task.time_remaining
        bar = f"<progress value='{task.completed}' max='{task.total or 1}'></progress>"
        more = "" if left is None else f", {_format_time(left)} left"
        self._draw(f"{bar} {self._describe(task)}{more}")

    def close(self, task: Any) -> None:
        """Leave a line without a bar, if there was one."""
        if self._handle is not None:
            self._draw(self._describe(task))

    def _describe(self, task: Any) -> str:
        total = "" if task.total is None else f"/{task.total:.0f}"
        text = f"{task.description} {task.completed:.0f}{total} in {_format_time(task.elapsed)}"
        return escape(f"{text}  {task.fields['note']}".rstrip())

    def _draw(self, text: str) -> None:
        from IPython.display import HTML, display

        shown = HTML(f"<small>{text}</small>")
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)


def _format_time(seconds: float | None) -> str:
    minutes, seconds = divmod(round(seconds or 0), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _build_bar(disable: bool) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.theme import Theme

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # Yellow and other bright colors are unreadable on a light background.
    plain = ("progress.elapsed", "progress.remaining", "progress.download")
    theme = Theme(dict.fromkeys(plain, "none"))
    return Progress(*columns, console=Console(stderr=True, theme=theme), disable=disable)
