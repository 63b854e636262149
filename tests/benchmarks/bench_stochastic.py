"""Monte-Carlo dropout and bfloat16 against one deterministic pass.

The reference is ``model(x, training=False)``, the call beside the loop over
``model(x, training=True)`` that people write.  Compiled, a pass is cheaper still, and the ratio to
that is given too: there the number of operations is the floor (47.7 passes for 50 draws of
dominguez_sanchez18 in float32).  All calls take turns, so that a busy machine slows all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from astrocnn.estimators.base import BLOCK
from astrocnn.models.build import build_model
from astrocnn.models.monte_carlo_dropout import MonteCarloDropout
from astrocnn.models.options import Options
from astrocnn.models.precision import with_precision
from astrocnn.training import has_fast_bfloat16
from tests.benchmarks._table import Row

__all__ = ["rows"]

DRAWS = 50
LOOPED = 5
"""Draws of the loop that are timed; the loop does the same each time."""


class _Family(NamedTuple):
    units: int


class _Target(NamedTuple):
    name: str
    family: _Family


class _Task(NamedTuple):
    targets: tuple[_Target, ...]


TASK = _Task((_Target("t", _Family(1)),))


def rows() -> list[Row]:
    """The comparisons of this module."""
    keras.utils.set_random_seed(0)
    return [
        *_compare("euclid_quality", 150, 1, Options(head_dropout=0.5), ("<= 1.25", "")),
        *_compare("pasquet19", 64, 5, Options(), ("<= 1.25", "")),
        *_compare("dominguez_sanchez18", 69, 3, Options(), ("<= 40", "<= 15")),
    ]


def _compare(
    name: str, size: int, channels: int, options: Options, targets: tuple[str, str]
) -> list[Row]:
    model = build_model(name, TASK, size=size, n_channels=channels, options=options)
    pixels = np.random.default_rng(0).normal(size=(BLOCK, size, size, channels))
    x = {"image": tf.constant(pixels.astype("float32"))}
    short = with_precision(model, "bfloat16")

    def looped() -> None:
        for _ in range(LOOPED):
            model(x, training=True)

    jobs = {
        "pass": lambda: model(x, training=False),
        "compiled": _compiled(lambda x: model(x, training=False), x),
        "short": _compiled(lambda x: short(x, training=False), x),
        "draws": _compiled(MonteCarloDropout(model, DRAWS), x),
        "short draws": _compiled(MonteCarloDropout(short, DRAWS), x),
        "loop": looped,
    }
    time_of = _in_turns(jobs)
    one, compiled = time_of["pass"], time_of["compiled"]
    loop = time_of["loop"] * DRAWS / LOOPED
    reference = f"model(x, training=False) ({one * 1e3 / BLOCK:.2f} ms an object)"
    strict = f"the same, compiled ({compiled * 1e3 / BLOCK:.2f} ms an object)"
    title = f"MC dropout, {DRAWS} draws, {name}"
    change = tf.reduce_max(
        tf.abs(tf.sigmoid(jobs["compiled"]()["t"]) - tf.sigmoid(jobs["short"]()["t"]))
    )
    draws, few = time_of["draws"], time_of["short draws"]
    # Without AMX nothing is predicted in bfloat16: it is slower there, and no target applies.
    fast = has_fast_bfloat16()
    where = "" if fast else "; this processor has no AMX: not used"
    return [
        Row(f"{title}, float32", reference, draws / one, targets[0], f"{draws:.2f} s"),
        Row(f"{title}, float32", strict, draws / compiled, ""),
        Row(
            f"{title}, bfloat16",
            reference,
            few / one,
            targets[1] if fast else "",
            f"{few:.2f} s{where}",
        ),
        Row(f"{title}, bfloat16", strict, few / compiled, ""),
        Row(f"{title}, looping model(x, training=True)", reference, loop / one, ""),
        Row(
            f"bfloat16 prediction, {name}",
            f"float32, both compiled ({compiled * 1e3 / BLOCK:.2f} ms an object)",
            time_of["short"] / compiled,
            "< 1" if fast else "",
            f"largest change of a probability {float(change):.4f}{where}",
        ),
    ]


def _compiled(function: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    traced = tf.function(lambda x: function(x))
    return lambda: traced(x)


def _in_turns(jobs: dict[str, Callable[[], Any]], repeats: int = 5) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}
