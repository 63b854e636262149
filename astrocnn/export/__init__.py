"""Trained networks as files for other programs: ONNX, SavedModel and LiteRT, with a model card."""

from astrocnn.export.comparison import *
from astrocnn.export.exporter import *
from astrocnn.export.formats import *
from astrocnn.export.model_card import *
from astrocnn.export.network import *

__all__ = [name for name in dir() if not name.startswith("_")]
