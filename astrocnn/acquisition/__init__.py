"""Choice of the objects that are worth labelling next."""

from astrocnn.acquisition.batch import *
from astrocnn.acquisition.pool import *
from astrocnn.acquisition.ranking import *

__all__ = [name for name in dir() if not name.startswith("_")]
