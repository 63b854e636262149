"""Rows of the benchmark table and how they are shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

__all__ = ["Row", "seconds", "show"]


class Row(NamedTuple):
    """One comparison.

    Parameters
    ----------
    what : str
        What was timed.
    reference : str
        What it was compared with.
    ratio : float
        The measured ratio; `target` says of what to what.
    target : str
        What to reach, such as ">= 40" or "<= 6".
    note : str
        Further figures.
    """

    what: str
    reference: str
    ratio: float
    target: str
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the target is met; None when it is not of the form "sign number"."""
        sign, _, number = self.target.partition(" ")
        try:
            limit = float(number.rstrip("%").split()[0])
        except (ValueError, IndexError):
            return None
        tests = {
            ">=": self.ratio >= limit,
            "<=": self.ratio <= limit,
            "<": self.ratio < limit,
            ">": self.ratio > limit,
        }
        return tests.get(sign)


def seconds(job: Callable[[], object], repeats: int = 5, warm_up: int = 1) -> float:
    """Median wall time of a call [s]."""
    for _ in range(warm_up):
        job()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def show(rows: Iterable[Row]) -> None:
    """Print the rows as a table."""
    table = Table("what", "reference = 1", "ratio", "target", "", "note")
    for row in rows:
        verdict = {True: "reached", False: "MISSED", None: ""}[row.reached]
        table.add_row(row.what, row.reference, f"{row.ratio:.3g}", row.target, verdict, row.note)
    Console(width=140).print(table)
