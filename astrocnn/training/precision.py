"""Precision that this machine is fast in: float32 or bfloat16."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from astrocnn import atomic
from astrocnn.backend import get_versions, tf
from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest

__all__ = [
    "PRECISIONS",
    "bfloat16_works",
    "cpu_has_tiles",
    "has_fast_bfloat16",
    "resolve_precision",
]

PRECISIONS: tuple[str, ...] = ("float32", "bfloat16", "auto")
"""Names accepted for a precision."""

_LIMIT = "ONEDNN_MAX_CPU_ISA"
_TRIAL = """
import tensorflow as tf
a = tf.ones((64, 64), tf.bfloat16)
tf.matmul(a, a)
"""


@functools.cache
def has_fast_bfloat16() -> bool:
    """Whether this machine multiplies matrices in bfloat16 in hardware.

    True with a GPU of compute capability 8 or more, or without a GPU on a CPU with AMX tiles.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        # Compute capability 8 (Ampere) is the first with bfloat16 in its tensor cores.
        details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
        return all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details)
    return _has_usable_tiles() and bfloat16_works()


@functools.cache
def bfloat16_works() -> bool:
    """Whether bfloat16 can be used on this machine at all, fast or not.

    Some virtual machines announce AMX tiles without saying how they are laid out; a product of
    matrices then ends the process with an illegal instruction.  So where tiles are announced, one
    product is tried in another process, once after each start of the machine.
    """
    if not _has_usable_tiles():
        return True
    trial_file = _get_trial_file()
    if trial_file.is_file():
        return trial_file.read_text(encoding="ascii") == "works"
    works = _try_product()
    # Where nothing can be kept, the next process tries again.
    with contextlib.suppress(OSError):
        atomic.write_text(trial_file, "works" if works else "crashes")
    return works


def _has_usable_tiles() -> bool:
    # Whoever limits the instructions by hand to some without tiles has none.
    limit = os.environ.get(_LIMIT, "DEFAULT").upper()
    return limit in ("DEFAULT", "ALL") or "AMX" in limit if cpu_has_tiles() else False


def cpu_has_tiles() -> bool:
    """Whether the processor announces AMX tiles for bfloat16; that they work is another matter."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False


def _get_trial_file() -> Path:
    boot = Path("/proc/sys/kernel/random/boot_id")
    started = boot.read_text(encoding="ascii") if boot.is_file() else ""
    # A new start, version or limit can change the outcome, so each has its own file.
    about = (_TRIAL, started, get_versions()["tensorflow"], os.environ.get(_LIMIT, ""))
    digest = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
    return atomic.cache_folder() / f"bfloat16-{digest}"


def _try_product() -> bool:
    # In another process: an illegal instruction cannot be caught in this one.
    done = subprocess.run(
        [sys.executable, "-c", _TRIAL],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def resolve_precision(precision: str) -> str:
    """ "float32" or "bfloat16" for a name; "auto" is bfloat16 where the hardware has it.

    Raises
    ------
    TrainingError
        If there is no such precision, or bfloat16 is chosen where it crashes the process.
    """
    if precision not in PRECISIONS:
        raise TrainingError(
            f"`precision` must be one of {', '.join(PRECISIONS)}; got '{precision}'.",
            allowed=PRECISIONS,
            hint=nearest(precision, PRECISIONS),
        )
    if precision == "auto":
        return "bfloat16" if has_fast_bfloat16() else "float32"
    if precision == "bfloat16" and not bfloat16_works():
        raise TrainingError(
            "bfloat16 would crash the process: this machine announces AMX tiles that do not work.",
            allowed="float32, or auto",
            hint=f"{_LIMIT}=AVX512_CORE_FP16 in the environment does without tiles",
        )
    return precision
