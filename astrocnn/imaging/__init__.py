"""Pixels: surveys and bands, cutouts from tiles or stamps, and the normalization of images.

A cutout is a float32 array with axes (y, x, band) in which NaN means "no data".
"""

from __future__ import annotations

from astrocnn.imaging.archives import unpack
from astrocnn.imaging.cutout_wcs import cutout_wcs
from astrocnn.imaging.cutouts import Cutouts
from astrocnn.imaging.inputs import Inputs
from astrocnn.imaging.no_images import NoImages
from astrocnn.imaging.normalization import STRETCHES, Normalization
from astrocnn.imaging.normalization_fitter import NormalizationFitter
from astrocnn.imaging.sources import ArraySource, Source, open_source
from astrocnn.imaging.stamp_source import StampSource
from astrocnn.imaging.survey import RESAMPLINGS, Band, Survey, read_survey
from astrocnn.imaging.tile_source import TileSource

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
    "cutout_wcs",
    "open_source",
    "read_survey",
    "unpack",
]
