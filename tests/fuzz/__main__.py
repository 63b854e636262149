"""``python -m tests.fuzz N``: N trials over all readers, in processes that may hang or die.

Each process makes a run of trials of one reader under a limit of its address space and tells the
number of each before it begins: one that stays silent is ended, its trial is a failure, and the
next process begins behind it.
"""

from __future__ import annotations

import argparse
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from tests.fuzz import test_images
from tests.fuzz.mutations import SECONDS, Reader, Trials

READERS: dict[str, Reader] = {**test_images.READERS}
SILENCE = 12 * SECONDS
AT_ONCE = 1000
ADDRESS_SPACE = 6 << 30


def work(name: str, start: int, stop: int) -> None:
    """Make the trials of a range; failures go to stdout between lines that number the trials."""
    with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
        trials = Trials(name, READERS[name], Path(folder))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        for number in range(start, stop):
            print(f"@{number}", flush=True)
            problem = trials.run(number)
            if problem is not None:
                print(problem, flush=True)


class Worker:
    """A process that makes a range of trials."""

    def __init__(self, name: str, start: int, stop: int) -> None:
        self.name, self.at, self.stop = name, start, stop
        self.heard = time.monotonic()
        self.problems: list[str] = []
        command = [sys.executable, "-m", "tests.fuzz", "--work", name, str(start), str(stop)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert self.process.stdout is not None
        self.stream = self.process.stdout
        os.set_blocking(self.stream.fileno(), False)

    def listen(self) -> None:
        """Take what the process has said."""
        for line in self.stream:
            self.heard = time.monotonic()
            if line.startswith("@"):
                self.at = int(line[1:])
            else:
                self.problems.append(line)


def run(total: int, processes: int, only: list[str]) -> list[str]:
    """Make trials in several processes and return the failures."""
    names = only or list(READERS)
    each = -(-total // len(names))
    queue = deque(
        (name, start, min(start + AT_ONCE, each))
        for start in range(0, each, AT_ONCE)
        for name in names
    )
    failures: list[str] = []
    active: list[Worker] = []
    with selectors.DefaultSelector() as selector:
        while queue or active:
            while queue and len(active) < processes:
                active.append(Worker(*queue.popleft()))
                selector.register(active[-1].stream, selectors.EVENT_READ)
            selector.select(timeout=1)
            for worker in list(active):
                worker.listen()
                status = worker.process.poll()
                silent = time.monotonic() - worker.heard > SILENCE
                if status is None and not silent:
                    continue
                worker.process.kill()
                worker.process.wait()
                worker.listen()
                if status != 0:
                    what = "hung" if silent else f"ended with {status}"
                    worker.problems.append(f"{worker.name}, trial {worker.at}: the process {what}")
                    queue.append((worker.name, worker.at + 1, worker.stop))
                failures += ["".join(worker.problems)] if worker.problems else []
                print("".join(worker.problems), end="", flush=True)
                selector.unregister(worker.stream)
                worker.stream.close()
                active.remove(worker)
    return failures


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("total", type=int, nargs="?", default=20_000, help="number of trials")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="*", default=[], choices=sorted(READERS))
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, start, stop = options.work
        work(name, int(start), int(stop))
        return
    failures = run(options.total, options.processes, options.only)
    print(f"{options.total} trials, {len(failures)} ranges with failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
