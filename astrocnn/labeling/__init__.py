"""Labelling by eye: a self-contained page with images, and a local server that saves the labels."""

from astrocnn.labeling.page import *
from astrocnn.labeling.questions import *
from astrocnn.labeling.server import *

__all__ = [name for name in dir() if not name.startswith("_")]
