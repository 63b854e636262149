"""A prediction in a process of its own, which can be killed at a given moment."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from astrocnn.prediction import chunks, predict, table_writer

from .conftest import Brightness, Counted, Photometric, make_survey


def main(out: Path, moment: str = "never", count: int = 0) -> None:
    """Predict as the tests do; die at call number `count` of what `moment` names."""
    left = count

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    chunks._MAX_ROWS = 64
    if moment == "sample":
        Photometric.sample = deadly(Photometric.sample)
    elif moment == "put":
        table_writer.RecordFile.put = deadly(table_writer.RecordFile.put)
    catalog, source = make_survey()
    extras = (Brightness(), Counted())
    predict(Photometric(2), catalog, source, out, draws=2, pdf="int16", extras=extras)
