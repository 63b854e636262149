"""What the server of `tests.processes` imports once; TensorFlow does not run anything yet."""

from __future__ import annotations

import gc

from astrocnn.backend import load_tensorflow
from astrocnn.prediction import predict  # noqa: F401
from astrocnn.runs.verbs import train  # noqa: F401
from astrocnn.training import fit  # noqa: F401

load_tensorflow()
# Copies share these objects: looking through them for garbage would copy their memory.
gc.freeze()
