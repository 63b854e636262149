"""Run files, run directories and the verbs of the command line.

The only code that has ever seen a configuration.
"""

from __future__ import annotations

from astrocnn.runs.config import RunConfig, load_run, parse_run
from astrocnn.runs.directory import RunDirectory

__all__ = ["RunConfig", "RunDirectory", "load_run", "parse_run"]
