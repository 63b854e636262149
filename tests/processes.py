"""Processes beside the tests, to be killed or to work together.

To import TensorFlow takes five seconds.  A server without threads does it once, and each process is
a copy of it in which TensorFlow has not run yet.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_ROOT = str(Path(__file__).parents[1])
if _ROOT not in sys.path:
    # The server and its copies find what they call by this list.
    sys.path.append(_ROOT)
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.preloaded"])


def start(
    log: Path, function: Callable[..., Any], *arguments: Any, **environment: str
) -> ForkServerProcess:
    """Call a function of a module in another process.

    Parameters
    ----------
    log : Path
        File for its standard output and error.
    function : callable
        What it returns or exits with is its ``exitcode``; -9 after a kill.
    *arguments
        Of the function, to be pickled.
    **environment
        Further variables.
    """
    process = _SERVER.Process(target=_call, args=(log, function, arguments, environment))
    process.start()
    return process


def finish(log: Path, *processes: ForkServerProcess, seconds: float = 400) -> None:
    """Wait until processes have ended, each with 0."""
    try:
        for process in processes:
            process.join(seconds)
            assert process.exitcode == 0, (process.exitcode, log.read_text()[-3000:])
    finally:
        for process in processes:
            process.kill()
            process.join()


def _call(
    log: Path,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    environment: Mapping[str, str],
) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update({"CUDA_VISIBLE_DEVICES": "-1", **environment})
    sys.exit(function(*arguments))


def run_command(*words: object) -> None:
    """Give a command of astrocnn."""
    from astrocnn.cli import main

    sys.argv = ["astrocnn", *map(str, words)]
    main()
