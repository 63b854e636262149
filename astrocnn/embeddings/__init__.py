"""Search in embeddings: similar objects, outliers, and interest learned from a few scores."""

from astrocnn.embeddings.blocks import *
from astrocnn.embeddings.index import *
from astrocnn.embeddings.interest import *
from astrocnn.embeddings.map import *
from astrocnn.embeddings.outliers import *
from astrocnn.embeddings.similarity import *

__all__ = [name for name in dir() if not name.startswith("_")]
