"""Sources found on an image, for surveys without a catalogue.  Needs the extra ``detect``."""

from __future__ import annotations

from astrocnn.detection.sources import detect_sources

__all__ = ["detect_sources"]
