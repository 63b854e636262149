"""``python -m tests.fuzz N``: N trials over all readers, in processes that may hang or die.

Each process makes a run of trials of one reader under a limit of its address space and tells the
number of each before it begins: one that stays silent is ended, its trial is a failure, and the
next process begins behind it.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from tests.fuzz import test_images, test_tables, test_weights
from tests.fuzz.mutations import SECONDS, Reader, Trials

READERS: dict[str, Reader] = {
    **test_images.READERS,
    **test_tables.READERS,
    **test_weights.READERS,
}
SILENCE = 60 * SECONDS
# Starting a process costs as much as a thousand trials.
AT_ONCE = 10_000
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
        self.output = ""
        # A file and no pipe, which would fill up while nobody listens.
        self.log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed by `run`
        command = [sys.executable, "-m", "tests.fuzz", "--work", name, str(start), str(stop)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def listen(self) -> None:
        """Read what the process has said."""
        self.log.seek(0)
        output = self.log.read()
        if output != self.output:
            self.output, self.heard = output, time.monotonic()
            numbers = re.findall(r"^@(\d+)\n", output, re.MULTILINE)
            self.at = int(numbers[-1]) if numbers else self.at

    def problems(self) -> str:
        """What was said beside the numbers of the trials."""
        return re.sub(r"^@\d+\n", "", self.output, flags=re.MULTILINE)


def run(total: int, processes: int, only: list[str], first: int = 0) -> list[str]:
    """Make trials in several processes and return the failures."""
    names = only or list(READERS)
    each = -(-total // len(names))
    queue = deque(
        (name, start, min(start + AT_ONCE, first + each))
        for start in range(first, first + each, AT_ONCE)
        for name in names
    )
    failures: list[str] = []
    active: list[Worker] = []
    while queue or active:
        while queue and len(active) < processes:
            active.append(Worker(*queue.popleft()))
        time.sleep(0.2)
        for worker in list(active):
            status = worker.process.poll()
            worker.listen()
            silent = time.monotonic() - worker.heard > SILENCE
            if status is None and not silent:
                continue
            worker.process.kill()
            worker.process.wait()
            problem = worker.problems()
            if status != 0:
                what = "hung" if silent else f"ended with {status}"
                problem += f"{worker.name}, trial {worker.at}: the process {what}\n"
                if worker.at + 1 < worker.stop:
                    queue.append((worker.name, worker.at + 1, worker.stop))
            failures += re.findall(r"^[\w ]+, trial \d+.*", problem, re.MULTILINE)
            print(problem, end="", flush=True)
            worker.log.close()
            active.remove(worker)
    return failures


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("total", type=int, nargs="?", default=20_000, help="number of trials")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="*", default=[], choices=sorted(READERS))
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, start, stop = options.work
        work(name, int(start), int(stop))
        return
    failures = run(options.total, options.processes, options.only, options.first)
    print(f"{options.total} trials, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
