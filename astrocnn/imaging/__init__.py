"""Pixels: surveys and bands, cutouts from tiles or stamps, and the normalization of images.

A cutout is a float32 array with axes (y, x, band) in which NaN means "no data".
"""

from __future__ import annotations

from astrocnn.imaging.inputs import Inputs
from astrocnn.imaging.normalization import STRETCHES, Normalization
from astrocnn.imaging.normalization_fitter import NormalizationFitter

__all__ = ["Inputs", "Normalization", "NormalizationFitter", "STRETCHES"]
