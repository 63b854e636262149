"""Labels of real catalogues, encoded by the tasks they were made for."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from astrocnn.errors import AstrocnnWarning
from astrocnn.targets import make

pytestmark = pytest.mark.real_data


def test_galaxy_zoo_classes_by_name(real_data):
    table = Table.read(real_data / "gz1_morphology" / "labels.csv", format="ascii.csv")
    task = make(
        "morphology",
        classes="galaxy_zoo",
        column="class_name",
        map={"dont_know_or_artefact": "star_or_dont_know"},
    )
    assert task.sensitive_to == {"handedness"}
    # Counts as the README of the set states them.
    assert task.tally(*task.encode(table))["morphology"] == {
        "elliptical": 780,
        "spiral_clockwise": 248,
        "spiral_anticlockwise": 262,
        "edge_on": 599,
        "star_or_dont_know": 34,
        "merger": 69,
    }


def test_redshifts_of_sdss_galaxies(real_data):
    redshift = np.loadtxt(real_data / "photoz_catalogs" / "SDSS_MGS.train", usecols=0)
    task = make("photoz", column="zs")
    _, weights = task.encode({"zs": redshift})
    assert weights["z"].all() and len(redshift) == 5000
    near = make("photoz", column="zs", range=[0.0, 0.1])
    beyond = int((redshift > 0.1).sum())
    with pytest.warns(AstrocnnWarning, match=f"{beyond} of 5000 labels lie outside the range"):
        _, weights = near.encode({"zs": redshift})
    assert (weights["z"] == 0).sum() == beyond
