"""Writing a table of predictions: the streaming writer against the bare writing of its bytes.

Both end with the bytes on the disk (fsync); a second pair on a file system in memory, where
there is none to wait for, shows the work of the processor alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.table import Table

from astrocnn.prediction import Column, TableWriter
from tests.benchmarks._table import Row, seconds

ROWS = 10_000_000
FEW = 1_000_000
CHUNK = 65_536
NAMES = [f"morphology_p_{i}" for i in range(11)]
COLUMNS = [
    Column("OBJECT_ID", "int64", ucd="meta.id;meta.main"),
    Column("RA", "float64", "deg", "pos.eq.ra;meta.main"),
    Column("DEC", "float64", "deg", "pos.eq.dec;meta.main"),
    Column("flags", "int32", ucd="meta.code"),
    *(Column(name, "float32", description="a probability") for name in NAMES),
]
ROW_BYTES = 72


def rows() -> list[Row]:
    """The comparisons of this module."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.fits"
        bare, ours = _in_turn(lambda: _bare(path, ROWS), lambda: write(path, ROWS))
        what = f"predictions table, 10^7 rows x {ROW_BYTES} bytes, on disk"
        found.append(Row(what, f"raw chunked write, {bare:.2f} s", ours / bare, "<= 4"))
        table = Table(_chunk(FEW, np.random.default_rng(0)))
        bare, ours, mixed, theirs = _in_turn(
            lambda: _bare(path, FEW),
            lambda: write(path, FEW),
            lambda: write(path, FEW, scattered=True),
            lambda: table.write(path, overwrite=True),
        )
        reference = f"raw chunked write, {bare:.3f} s"
        found.append(Row("the same, 10^6 rows", reference, ours / bare, "<= 4"))
        found.append(Row("the same, rows in random order", reference, mixed / bare, "<= 6"))
        found.append(Row("astropy Table.write, 10^6 rows", reference, theirs / bare, ""))
    if os.access("/dev/shm", os.W_OK):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            path = Path(folder) / "t.fits"
            bare, ours = _in_turn(lambda: _bare(path, ROWS), lambda: write(path, ROWS))
            what = "predictions table, 10^7 rows, on a disk in memory"
            found.append(Row(what, f"raw chunked write, {bare:.2f} s", ours / bare, ""))
    for what, n, target in (
        ("the writer", ROWS, "<= 0.3"),
        ("the writer, random order", FEW, ""),
        ("astropy", FEW, ""),
    ):
        size = n * ROW_BYTES / 1e6
        grown = _growth(what, n)
        note = f"{grown:.0f} MB"
        found.append(
            Row(f"memory of {what}", f"the table, {size:.0f} MB", grown / size, target, note)
        )
    return found


def _in_turn(*jobs: Callable[[], object], repeats: int = 5) -> list[float]:
    """Median wall times [s]; the jobs take turns, so that a busy machine hurts all alike."""
    times = [[seconds(job, repeats=1, warm_up=0) for job in jobs] for _ in range(repeats + 1)]
    return np.median(times[1:], axis=0).tolist()


def write(path: Path, n: int, scattered: bool = False) -> None:
    """Write a table chunk by chunk, in order or in the order of a shuffle of the chunks' rows."""
    rng = np.random.default_rng(0)
    chunk = _chunk(CHUNK, rng)
    order = rng.permutation(n) if scattered else None
    with TableWriter(path, COLUMNS, n, [("SEED", 0, "seed")]) as writer:
        for start in range(0, n, CHUNK):
            count = min(CHUNK, n - start)
            where = np.arange(start, start + count)
            if order is not None:
                where = order[where]
            writer.put(where, {name: values[:count] for name, values in chunk.items()})


def _bare(path: Path, n: int) -> None:
    block = bytes(CHUNK * ROW_BYTES)
    with path.open("wb") as stream:
        for start in range(0, n, CHUNK):
            stream.write(block[: min(CHUNK, n - start) * ROW_BYTES])
        stream.flush()
        os.fsync(stream.fileno())


def _chunk(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "OBJECT_ID": rng.integers(-(2**62), 2**62, n),
        "RA": rng.uniform(0, 360, n),
        "DEC": rng.uniform(-90, 90, n),
        "flags": np.zeros(n, dtype=np.int32),
        **{name: rng.random(n, dtype=np.float32) for name in NAMES},
    }


def _growth(what: str, n: int) -> float:
    """Growth of the largest resident memory of a fresh process while it writes n rows [MB]."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_table", what, str(n)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _measured(what: str, n: int, folder: Path) -> float:
    path = folder / "t.fits"
    tables = {k: Table(_chunk(k, np.random.default_rng(0))) for k in (1000, n) if what == "astropy"}

    def job(k: int) -> None:
        if what == "astropy":
            tables[k].write(path, overwrite=True)
        else:
            write(path, k, scattered="random" in what)

    job(1000)
    before = _peak(reset=True)
    job(n)
    return (_peak() - before) / 1e3


def _peak(reset: bool = False) -> int:
    """Largest resident memory so far, or from now on [kB]."""
    if reset:
        # getrusage() remembers the parent's peak across exec; this counter can be reset.
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as _folder:
        print(_measured(sys.argv[1], int(sys.argv[2]), Path(_folder)))
