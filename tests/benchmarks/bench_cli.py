"""What it costs to ask the command line for help."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.benchmarks._table import Row


def _seconds(*command: str, repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def rows() -> list[Row]:
    """Seconds that ``astrocnn --help`` takes more than a bare interpreter."""
    bare = _seconds(sys.executable, "-c", "pass")
    ours = _seconds(sys.executable, "-m", "astrocnn", "--help")
    return [Row("astrocnn --help", "python -c pass", ours - bare, "< 0.6", "seconds more")]
