"""Pixels: surveys and bands, cutouts from tiles or stamps, and the normalization of images.

A cutout is a float32 array with axes (y, x, band) in which NaN means "no data".
"""

from __future__ import annotations

from astrocnn.imaging.cutouts import Cutouts
from astrocnn.imaging.files import unpack
from astrocnn.imaging.inputs import Inputs
from astrocnn.imaging.normalization import STRETCHES, Normalization
from astrocnn.imaging.normalization_fitter import NormalizationFitter
from astrocnn.imaging.source import (
    ArraySource,
    NoImages,
    Source,
    get_cutout_wcs,
    get_state,
    open_source,
)
from astrocnn.imaging.sources.stamps import StampSource
from astrocnn.imaging.sources.tiles import TileSource
from astrocnn.imaging.survey import RESAMPLINGS, Band, Survey, read_survey

__all__ = [
    "ArraySource",
    "Band",
    "Cutouts",
    "Inputs",
    "NoImages",
    "Normalization",
    "NormalizationFitter",
    "RESAMPLINGS",
    "STRETCHES",
    "Source",
    "StampSource",
    "Survey",
    "TileSource",
    "get_cutout_wcs",
    "get_state",
    "open_source",
    "read_survey",
    "unpack",
]
