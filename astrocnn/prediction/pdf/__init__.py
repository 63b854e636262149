"""Predictive densities p(z) beside the table: how they are stored, and how they are read."""

from __future__ import annotations

from astrocnn.prediction.pdf.plane import PDF_FORMS, Plane, planes_of
from astrocnn.prediction.pdf.reading import read_pdf

__all__ = ["PDF_FORMS", "Plane", "planes_of", "read_pdf"]
