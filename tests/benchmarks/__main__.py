"""``python -m tests.benchmarks [NAME ...]``: every benchmark as one table of ratios.

Ratios are measured in one run on this machine, each the median of five or more timings, against
the named reference; absolute times mean little on a busy machine.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

import tests.benchmarks as here
from astrocnn.training import bfloat16_works
from tests.benchmarks._table import show


def main(wanted: list[str]) -> None:
    """Run the benchmarks whose names were given, or all."""
    names = [m.name for m in pkgutil.iter_modules(here.__path__) if m.name.startswith("bench_")]
    chosen = [n for n in names if not wanted or n.removeprefix("bench_") in wanted]
    if not chosen:
        known = ", ".join(n.removeprefix("bench_") for n in names)
        raise SystemExit(f"there is no such benchmark; known: {known}")
    rows = []
    if not bfloat16_works():
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_FP16"
    try:
        for name in chosen:
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows += importlib.import_module(f"tests.benchmarks.{name}").rows()
    finally:
        show(rows)  # what was measured is shown even when a later one fails


if __name__ == "__main__":
    main(sys.argv[1:])
