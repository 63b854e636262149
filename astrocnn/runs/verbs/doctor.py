"""``astrocnn doctor``: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import astropy
import numpy as np
from rich.table import Table

from astrocnn import __version__
from astrocnn.backend import get_versions, keras, load_tensorflow, tf

__all__ = ["run"]

_EXTRAS = {
    "galsim": ("sim", "simulated surveys, the demo"),
    "photutils": ("detect", "source detection"),
    "reproject": ("detect", "an independent check of resampling"),
    "qp": ("photoz", "redshift PDFs as qp ensembles"),
    "dask": ("survey", "many workers"),
    "optuna": ("search", "guided hyper-parameter search"),
}


def run() -> Iterator[Table]:
    """Tables of versions, processors, accelerators and optional packages."""
    load_tensorflow()
    yield _core()
    yield _optional()


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", show_header=False)


def _core() -> Table:

    table = _table("this machine")
    libraries = {"numpy": np.__version__, "astropy": astropy.__version__}
    for name, version in {"astrocnn": __version__, **get_versions(), **libraries}.items():
        table.add_row(name, version)
    table.add_row("Keras backend", keras.backend.backend())
    table.add_row("processor cores", str(os.cpu_count()))
    table.add_row("memory", _memory())
    table.add_row("bfloat16 on the CPU (AMX)", _tiles())
    gpus = tf.config.list_physical_devices("GPU")
    table.add_row("GPUs", ", ".join(gpu.name for gpu in gpus) or "none; astrocnn[gpu] brings CUDA")
    data = os.environ.get("ASTROCNN_DATA")
    if data is None:
        said = "not set: run files of pipelines/ that use real data need it"
    else:
        said = data if Path(data).is_dir() else f"{data} is not a folder"
    table.add_row("$ASTROCNN_DATA", said)
    return table


def _optional() -> Table:
    table = _table("optional")
    for package, (extra, purpose) in _EXTRAS.items():
        there = importlib.util.find_spec(package) is not None
        table.add_row(package, purpose, "yes" if there else f"pip install 'astrocnn[{extra}]'")
    for program in ("fitsverify", "stilts"):
        there = shutil.which(program) is not None
        table.add_row(program, "checks of the written tables", "yes" if there else "not found")
    return table


def _memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 2**30:.0f} GiB"


def _tiles() -> str:
    from astrocnn.training.precision import bfloat16_works, cpu_has_tiles

    if not cpu_has_tiles():
        return "no"
    return "yes" if bfloat16_works() else "announced, but does not work: float32 is used"
