"""``python -m tests.benchmarks.scale FOLDER``: predict 10^4 to 10^8 rows from columns, by Dask.

A catalogue of stars and galaxies is simulated as one Parquet file (44 bytes a row), a small network
of colors is trained on 5,000 of them, and `astrocnn predict` writes a table in partitions or one
FITS table, by a Dask cluster of local processes.  The cost a row is what a second run with more
rows adds: starting the processes and loading TensorFlow takes the same for any number of rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astrocnn.prediction import read_predictions

GROUP, BANDS = 1 << 18, "ugriz"
RUN = """
[catalog]
file = "train.parquet"
missing = []

[inputs]
scalars = ["mag_u - mag_g", "mag_g - mag_r", "mag_r - mag_i", "mag_i - mag_z", "mag_r"]

[model]
architecture = "ann"

[training]
epochs = 5

[prediction]
draws = 0
"""
TASKS = {
    "star": """
[task]
name = "morphology"

[task.questions.star]
column = "is_star"
""",
    "redshift": """
[task]
name = "photoz"
column = "z"
range = [0.0, 1.0]
n_bins = 200
""",
}


def simulate(path: Path, n: int, seed: int) -> None:
    """Write magnitudes of n objects, in row groups."""
    rng, writer = np.random.default_rng(seed), None
    for start in range(0, n, GROUP):
        m = min(GROUP, n - start)
        z, r = rng.uniform(0, 1, m), rng.uniform(18, 24, m)
        columns = {"object_id": 10**15 + 7919 * np.arange(start, start + m)}
        columns |= {"ra": rng.uniform(0, 360, m), "dec": rng.uniform(-60, 60, m)}
        for i, band in enumerate(BANDS):
            noise = rng.normal(0, 0.05, m)
            columns[f"mag_{band}"] = (r + 1.2 * (2 - i) * z + noise).astype(np.float32)
        if n <= 5000:
            columns |= {"z": z.astype(np.float32), "is_star": (z < 0.1 + 0.02 * (r - 18)) * 1}
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def run(folder: Path, *arguments: str) -> dict[str, float]:
    """Run a command; its time, that of its processes [s], and their largest memory [MB]."""
    command = [sys.executable, "-m", "astrocnn", *arguments]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, cwd=folder)
    peaks: dict[int, int] = {}
    watcher = threading.Thread(target=_watch, args=(process, peaks))
    watcher.start()
    if process.wait():
        raise SystemExit(f"failed: {' '.join(arguments)}")
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu": round(cpu, 1),
        "peak": round(max(peaks.values(), default=0) / 1024),
        "parent": round(peaks.get(process.pid, 0) / 1024),
    }


def _watch(process: subprocess.Popen[bytes], peaks: dict[int, int]) -> None:
    """Note the largest resident memory of a process and of those that it started [kB]."""
    while process.poll() is None:
        family = {process.pid}
        for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda p: int(p.name)):
            try:
                parent = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
                if parent in family or int(entry.name) in family:
                    family.add(int(entry.name))
                    status = entry.joinpath("status").read_text()
                    peaks[int(entry.name)] = int(status.split("VmHWM:")[1].split()[0])
            except (OSError, IndexError, ValueError):
                continue
        time.sleep(1)


def count_bytes(path: Path) -> tuple[int, float]:
    """Number of files, and their size [MB]."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return len(files), round(sum(p.stat().st_size for p in files) / 1e6, 1)


def main() -> None:
    """Run the given numbers of rows with both kinds of output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=float, nargs="+", default=[1e4, 1e6, 1e7])
    parser.add_argument("--task", choices=list(TASKS), default="star")
    parser.add_argument("--out", nargs="+", default=["parts", "table.fits"])
    parser.add_argument("--cluster", default="local:2")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / options.task
    if not model.exists():
        simulate(folder / "train.parquet", 5000, 1)
        (folder / f"{options.task}.toml").write_text(RUN + TASKS[options.task])
        run(folder, "train", f"{options.task}.toml", "--out", options.task)
    for n in map(int, options.rows):
        catalog = folder / f"catalog-{n}.parquet"
        if not catalog.exists():
            started = time.perf_counter()
            simulate(catalog, n, 2)
            print(f"simulated {n} rows in {time.perf_counter() - started:.0f} s", flush=True)
        for name in options.out:
            out = folder / f"{n}-{name}"
            cluster = ["--cluster", options.cluster] if options.cluster != "none" else []
            measured = run(
                folder, "predict", options.task, "--catalog", catalog.name, "--out", out.name,
                *cluster,
            )  # fmt: skip
            files, size = count_bytes(out)
            assert len(read_predictions(out)) == n
            facts = {"rows": n, "out": name, "files": files, "MB": size, **measured}
            print(
                json.dumps({**facts, "us_a_row": round(1e6 * measured["cpu"] / n, 2)}), flush=True
            )
            shutil.rmtree(out) if out.is_dir() else os.remove(out)
        catalog.unlink()


if __name__ == "__main__":
    main()
