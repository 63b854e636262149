"""Precision that this machine, or one network on it, is fast in: float32 or bfloat16."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from astrocnn import atomic
from astrocnn.backend import get_versions, keras, tf
from astrocnn.errors import TrainingError
from astrocnn.models import with_precision
from astrocnn.models.summary import summarize_layers
from astrocnn.plugins import nearest

__all__ = [
    "PRECISIONS",
    "bfloat16_works",
    "cpu_has_tiles",
    "has_fast_bfloat16",
    "predicts_faster_in_bfloat16",
    "resolve_precision",
]

PRECISIONS: tuple[str, ...] = ("float32", "bfloat16", "auto")
"""Names accepted for a precision."""

_LIMIT = "ONEDNN_MAX_CPU_ISA"
_OBJECTS = 4
_SECONDS = 0.5
_GAIN = 0.15
_LEAST_MULTIPLY_ADDS = 10**7
"""Of networks that are tried: with fewer, an object takes less than about 0.3 ms."""
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
    # A new start, version or limit can change the outcome, so each has its own file.
    return _ask_once("works", (_TRIAL, _read("/proc/sys/kernel/random/boot_id")), _try_product)


def predicts_faster_in_bfloat16(model: keras.Model, fingerprint: str) -> bool:
    """Whether a network predicts faster in bfloat16 on this machine.

    With a GPU its hardware decides, see `has_fast_bfloat16`.  On a CPU small networks stay exact,
    and others are timed in both precisions, in less than a second for most: layers differ
    (convolutions over all channels gain, those over one channel at a time do not).  The answer is
    kept in the cache folder, for this network, kind of processor and version of TensorFlow, so
    that a prediction that is taken up again, or shared by several processes, computes as it began.

    Parameters
    ----------
    model : keras.Model
        In float32.
    fingerprint : str
        Identity of the network.
    """
    if tf.config.list_physical_devices("GPU"):
        return has_fast_bfloat16()
    cost = sum(layer.multiply_adds for layer in summarize_layers(model))
    if cost < _LEAST_MULTIPLY_ADDS or not bfloat16_works():
        return False
    about = (fingerprint, _get_processor())
    return _ask_once("faster", about, lambda: _time_both(model))


def _time_both(model: keras.Model) -> bool:
    x = {t.name: tf.ones((_OBJECTS, *t.shape[1:])) for t in model.inputs}
    networks = (model, with_precision(model, "bfloat16"))
    best = [float("inf"), float("inf")]
    began = time.perf_counter()
    # The first round prepares the kernels.  The least CPU time is what other work disturbs least.
    for number in range(10):
        for i, network in enumerate(networks):
            start = time.process_time()
            network(x, training=False)
            if number:
                best[i] = min(best[i], time.process_time() - start)
        if number and time.perf_counter() - began > _SECONDS:
            break
    exact, rounded = best
    return rounded < (1 - _GAIN) * exact


def _has_usable_tiles() -> bool:
    # Whoever limits the instructions by hand to some without tiles has none.
    limit = os.environ.get(_LIMIT, "DEFAULT").upper()
    return limit in ("DEFAULT", "ALL") or "AMX" in limit if cpu_has_tiles() else False


def cpu_has_tiles() -> bool:
    """Whether the processor announces AMX tiles for bfloat16; that they work is another matter."""
    return "amx_bf16" in _read("/proc/cpuinfo")


def _ask_once(question: str, about: tuple[str, ...], answer: Callable[[], bool]) -> bool:
    """The answer from the cache folder, else a new one that is kept there."""
    key = (*about, get_versions()["tensorflow"], os.environ.get(_LIMIT, ""))
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    file = atomic.cache_folder() / f"bfloat16-{question}-{digest}"
    with contextlib.suppress(OSError):
        return file.read_text(encoding="ascii") == "yes"
    found = answer()
    # Where nothing can be kept, the next process tries again.
    with contextlib.suppress(OSError):
        # Another process may have been first: its answer is the one that counts.
        if not file.is_file():
            atomic.write_text(file, "yes" if found else "no")
        return file.read_text(encoding="ascii") == "yes"
    return found


@functools.cache
def _get_processor() -> str:
    lines = _read("/proc/cpuinfo").splitlines()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="ignore")
    except OSError:
        return ""


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
