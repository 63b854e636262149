"""Writes shards and is killed by the system while it cuts, or runs out of room.

Usage: python killed.py FOLDER kill|full
"""

from __future__ import annotations

import os
import resource
import signal
import sys

from astrocnn.datasets import write_shards
from astrocnn.errors import AstrocnnError
from astrocnn.imaging.cutouts import Cutouts
from tests.datasets.conftest import BANDS, INPUTS, Backwards, make_catalog, make_images


class Fatal(Backwards):
    reads = 0

    def read(self, rows) -> Cutouts:
        Fatal.reads += 1
        if Fatal.reads == 3:
            if sys.argv[2] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            # A file may not grow beyond 8 KiB from here on: the system call that writes fails.
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        return super().read(rows)


if __name__ == "__main__":
    source = Fatal(make_images(), BANDS, pixel_scale=0.2, unit="nJy")
    try:
        write_shards(sys.argv[1], make_catalog(), source, INPUTS, rows_per_shard=16)
    except AstrocnnError as error:
        print(error)
        sys.exit(3)
