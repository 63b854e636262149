"""Kill commands with SIGKILL at random moments, and give them again until they end.

``python -m tests.kills 500`` kills 500 times, spread over ``cutouts``, ``train``, ``calibrate``,
``predict``, ``pretrain`` and ``search`` on a tiny survey.  Each finished command must leave the
same files as one that was never killed: the same bytes, except for times and dates, and no
left-over file.

Processes are forked from one that has imported everything, so that a kill costs about a second.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import math
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from astrocnn.backend import load_tensorflow
from astrocnn.cli import main as astrocnn
from astrocnn.datasets import writing
from astrocnn.prediction import chunks
from astrocnn.runs.verbs import (  # noqa: F401 (before forks)
    calibrate,
    cutouts,
    predict,
    pretrain,
    search,
    train,
)
from astrocnn.simulation import simulate

RUN = """
survey = "sky/survey.toml"

[catalog]
file = "sky/catalog.fits"

[inputs]
size = 8

[split]
fractions = [0.5, 0.4, 0.1]

[task]
name = "morphology"
column = "morphology"
classes = ["elliptical", "spiral", "edge_on", "merger", "star"]

[model]
architecture = "tiny.py:features"

[training]
epochs = 4
batch_size = 32

[pretraining]
epochs = 3
batch_size = 32
projector = [8, 4]

[prediction]
draws = 3
precision = "float32"
"""
SEARCH = """
[search]
trials = 2

[search.space]
"training.learning_rate" = { low = 1e-4, high = 1e-2, scale = "log" }
"""
ARCHITECTURE = '''
"""A tiny network."""

from keras import layers


def features(image, scalars, block):
    # Names that Keras makes count the layers of the process.
    x = layers.Dense(8, "relu", name="hidden")(layers.Flatten(name="flat")(image))
    return block.dropout(x, 0.2)
'''
LEFT_OVER = (".tmp-", ".old-")
COMMANDS: dict[str, tuple[str, ...]] = {
    "cutouts": ("cutouts", "run.toml", "--out", "run"),
    "train": ("train", "run.toml", "--out", "run"),
    "calibrate": ("calibrate", "run"),
    "predict": ("predict", "run", "--out", "p.fits"),
    "pretrain": ("pretrain", "run.toml", "--out", "pretrained"),
    "search": ("search", "search.toml", "--out", "search"),
}
"""Each begins with the files that the ones before it left; `search` with none."""


@dataclass
class Scenario:
    """A command, the folder it begins with, and what it leaves when it is not killed."""

    name: str
    before: Path
    expected: dict[str, str]
    seconds: float


def main(arguments: list[str] | None = None) -> int:
    """Run the check; the number of differences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=0)
    # On a busy machine a command may be killed often before it gets anywhere.
    parser.add_argument("--most", type=int, default=1000, help="kills before a command may end")
    parser.add_argument("--only", choices=COMMANDS, action="append")
    options = parser.parse_args(arguments)
    chunks._MAX_ROWS = writing.MOST_ROWS = 64
    load_tensorflow()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        # The header of a table holds the time at which it was written.
        os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
        scenarios = prepare(Path(folder), options.only or list(COMMANDS))
        counts = dict.fromkeys((s.name for s in scenarios), 0)
        finished = wrong = 0
        while sum(counts.values()) < options.kills:
            scenario = min(scenarios, key=lambda s: counts[s.name])
            problems, kills = check(scenario, Path(folder) / "work", rng, options.most)
            counts[scenario.name] += kills
            finished += 1
            for problem in problems:
                print(f"{scenario.name} after {kills} kills: {problem}", flush=True)
            wrong += len(problems)
    listed = ", ".join(f"{name} {n}" for name, n in counts.items())
    print(f"{sum(counts.values())} kills ({listed}), {finished} finished, {wrong} differences")
    return wrong


def prepare(folder: Path, names: list[str]) -> list[Scenario]:
    """Make the survey, and run each command once without a kill."""
    # In one place for all: run files and fingerprints hold it.
    home = folder / "work"
    home.mkdir()
    in_child(lambda: simulate(home / "sky", n_objects=300, seed=4, tile_size=600), folder)
    (home / "tiny.py").write_text(ARCHITECTURE)
    (home / "run.toml").write_text(RUN)
    (home / "search.toml").write_text(RUN + SEARCH)
    scenarios = []
    for name, command in COMMANDS.items():
        before = folder / f"before-{name}"
        if len(scenarios) == len(names):
            break
        if name == "search":
            for path in (home / "run", home / "pretrained", home / "p.fits"):
                remove(path)
        shutil.copytree(home, before, symlinks=True)
        started = time.monotonic()
        in_child(lambda command=command: run(home, command), folder)
        seconds = time.monotonic() - started
        if name in names:
            scenarios.append(Scenario(name, before, describe(home), seconds))
    return scenarios


def check(scenario: Scenario, work: Path, rng: random.Random, most: int) -> tuple[list[str], int]:
    """Give a command until it ends, killed at random moments; what is wrong, and the kills."""
    remove(work)
    shutil.copytree(scenario.before, work, symlinks=True)
    kills = 0

    def give() -> None:
        run(work, COMMANDS[scenario.name])

    # A time within the whole command: later ones begin with what earlier ones had finished.
    while kill(give, rng.uniform(0, 1.1 * scenario.seconds) if kills < most else math.inf):
        kills += 1
    found = describe(work)
    problems = [f"left over: {name}" for name in sorted(found.keys() - scenario.expected.keys())]
    problems += [f"missing: {name}" for name in sorted(scenario.expected.keys() - found.keys())]
    problems += [
        f"differs: {name}"
        for name in sorted(found.keys() & scenario.expected.keys())
        if found[name] != scenario.expected[name]
    ]
    return problems, kills


def run(home: Path, command: tuple[str, ...]) -> None:
    """Give a command in a folder."""
    os.chdir(home)
    sys.argv = ["astrocnn", *command]
    astrocnn()


def fork(do: Callable[[], None]) -> int:
    """Start a process that does something, with its output in a file; its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        log = os.open(log_file(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        do()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def log_file(pid: int) -> Path:
    """Where the output of a child is."""
    return Path(tempfile.gettempdir()) / f"kills-{pid}.log"


def take_output(pid: int) -> str:
    """Output of a child that has ended; one that was killed at once has not begun a file."""
    log = log_file(pid)
    output = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    return output


def in_child(do: Callable[[], None], folder: Path) -> None:
    """Do something in a process of its own; an error ends the check."""
    pid = fork(do)
    _, status = os.waitpid(pid, 0)
    output = take_output(pid)
    if status:
        raise SystemExit(f"a command failed without a kill:\n{output}")


def kill(do: Callable[[], None], seconds: float) -> bool:
    """Kill a process after some time; False if it ended before."""
    pid = fork(do)
    deadline = time.monotonic() + seconds
    done = 0
    while not done and time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.002)
    if not done:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    output = take_output(pid)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if status and not killed:
        raise SystemExit(f"a command failed after kills:\n{output}")
    return killed


def describe(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, without times and dates."""
    return {
        str(path.relative_to(folder)): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.name.startswith(LEFT_OVER) or path.suffix == ".parts"
    }


def digest(path: Path) -> str:
    """Digest of a file without the times that it holds."""
    if path.is_dir():
        return "folder"
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as members:
            # Keras numbers shared objects by their place in memory.
            config = re.sub(rb'"shared_object_id": \d+', b"", members.read("config.json"))
            total = hashlib.sha256(config)
            with h5py.File(io.BytesIO(members.read("model.weights.h5"))) as weights:
                names: list[str] = []
                weights.visit(names.append)
                for name in sorted(names):
                    if isinstance(weights[name], h5py.Dataset):
                        total.update(name.encode() + weights[name][()].tobytes())
        return total.hexdigest()
    if path.name in ("history.csv", "trials.ecsv"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(lines)]
        return hashlib.sha256(repr(rows).encode()).hexdigest()
    # The state of a training holds the seconds of its epochs, a picture those of the search.
    if path.name == "state.npz" or path.suffix in (".png", ".svg"):
        return "exists"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(min(main(), 100))
