"""A simulated sky with known truth: survey tiles, a catalogue, and small stamps.

`simulate` writes FITS tiles in several bands with a world coordinate system, a catalogue with the
truth, and the survey file that describes them; `simulate_stamps` returns arrays for tests and
notebooks from the same code.  Everything is a pure function of a seed.  Requires the extra ``sim``.
"""

from __future__ import annotations

from astrocnn.simulation.artefacts import inject
from astrocnn.simulation.morphology import CLASSES
from astrocnn.simulation.presets import PRESETS, Preset, get_preset
from astrocnn.simulation.quality import QualitySimulation, simulate_quality
from astrocnn.simulation.redshift import simulate_redshift, simulate_redshift_stamps
from astrocnn.simulation.spectra import SimulatedBand
from astrocnn.simulation.survey import simulate, simulate_stamps
from astrocnn.simulation.tiles import Simulation

__all__ = [
    "CLASSES",
    "PRESETS",
    "Preset",
    "QualitySimulation",
    "SimulatedBand",
    "Simulation",
    "get_preset",
    "inject",
    "simulate",
    "simulate_quality",
    "simulate_redshift",
    "simulate_redshift_stamps",
    "simulate_stamps",
]
