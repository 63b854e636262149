"""Run files, run directories and the verbs of the command line.

The only code that reads a configuration.  Names are resolved on first use, so that a
mistake in a run file is reported at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astrocnn.plugins import lazy

if TYPE_CHECKING:
    from astrocnn.runs.config import load_run, parse_run
    from astrocnn.runs.directory import RunDirectory
    from astrocnn.runs.sections import RunConfig

__all__ = ["RunConfig", "RunDirectory", "load_run", "parse_run"]

_HOME = {
    "RunConfig": "sections",
    "RunDirectory": "directory",
    "load_run": "config",
    "parse_run": "config",
}

__getattr__ = lazy(__name__, _HOME)
