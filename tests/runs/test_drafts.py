"""Parts of a drafted run: tasks from columns, planes from headers, patterns from file names."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.catalog import Catalog
from astrocnn.errors import ConfigError
from astrocnn.runs.drafts.image_planes import (
    group_planes,
    list_planes,
    select_hdu,
    sort_bands,
    split_words,
)
from astrocnn.runs.drafts.stamps import draft_stamps
from astrocnn.runs.drafts.survey import SurveyDraft, list_images
from astrocnn.runs.drafts.task import UNKNOWN_TASK, draft_scalars, draft_task
from astrocnn.runs.drafts.tiles import _common_pattern, _name_files

N = 8


def catalog(**columns):
    return Catalog.from_table(Table({"id": np.arange(N), **columns}), id="id")


def image(value=1.0, side=6, **cards):
    return fits.ImageHDU(np.full((side, side), value, "f4"), fits.Header(cards))


def write(path, *hdus, **cards):
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(cards)), *hdus]).writeto(path)
    return path


def drafted(text):
    return tomllib.loads(text)


# --- the task


@pytest.mark.parametrize(
    ("largest", "high"), [(0.25, 0.3), (0.3, 0.3), (1.01, 1.1), (6.999, 7.0), (0.02, 0.1)]
)
@pytest.mark.parametrize("missing", [99.0, 9999.0, np.nan, -99.0])
def test_the_range_of_redshifts_is_rounded_up_and_free_of_missing_values(largest, high, missing):
    z = np.r_[np.linspace(0.01, largest, N - 1), missing]
    text, notes = draft_task(catalog(z_spec=z))
    assert drafted(text) == {"name": "photoz", "column": "z_spec", "range": [0.0, high]}
    assert notes == [f"redshifts from column 'z_spec', up to {high}"]
    mixture, _ = draft_task(catalog(z_spec=z), images=False)
    assert drafted(mixture) == {**drafted(text), "family": "mixture"}


def test_text_is_a_label_before_redshifts_and_numbers():
    columns = {"kind": ["E", "S"] * 4, "bar": [0, 1] * 4, "z_spec": np.linspace(0, 1, N)}
    text, notes = draft_task(catalog(**columns))
    assert drafted(text) == {"name": "morphology", "column": "kind", "classes": ["E", "S"]}
    assert text.startswith("# other columns with few values: bar\n")
    assert notes == ["labels from column 'kind': E, S (others with few values: bar)"]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["a"] * N, False),  # one class is none
        (["a", "b", "c", "d"] * 2, True),  # as many as half of the rows
        (["a", "b", "c", "d", "e"] + ["a"] * 3, False),  # more
        (["a", "b", ""] + ["a"] * 5, True),  # an empty text is no class
    ],
)
def test_a_column_of_classes_repeats_itself(values, found):
    text, notes = draft_task(catalog(kind=values))
    if found:
        assert drafted(text)["classes"] == sorted(set(values) - {""})
    else:
        assert text == UNKNOWN_TASK and "no column of labels" in notes[0]


def test_votes_of_a_question_depend_on_the_answer_before():
    count = np.arange(N) + 100
    names = ("smooth-or-featured_smooth", "smooth-or-featured_featured-or-disk")
    names += ("disk-edge-on_yes", "disk-edge-on_no", "bar_strong", "bar_no", "bar_total-votes")
    text, notes = draft_task(catalog(**dict.fromkeys(names, count)))
    questions = drafted(text.replace("[task.", "["))["questions"]
    assert {name: q.get("depends_on") for name, q in questions.items()} == {
        "smooth_or_featured": None,
        "disk_edge_on": "smooth_or_featured.featured_or_disk",
        "bar": "disk_edge_on.no",
    }
    assert questions["bar"]["answers"] == {"strong": "bar_strong", "no": "bar_no"}
    assert notes[0].startswith("votes of volunteers on 3 questions")


@pytest.mark.parametrize(
    ("names", "scalars"),
    [
        (("mag_u", "mag_g", "mag_r"), ["mag_u - mag_g", "mag_g - mag_r", "mag_r"]),
        # The order is that of wavelength; without r the middle one is the magnitude.
        (("J", "g", "i", "Y"), ["g - i", "i - Y", "Y - J", "Y"]),
        (("R_AUTO", "G_AUTO", "I_AUTO"), ["G_AUTO - R_AUTO", "R_AUTO - I_AUTO", "R_AUTO"]),
        (("mag_g", "mag_r"), []),
        (("err_g", "err_r", "err_i", "mag_g"), []),
        (("mag_g", "mag_r", "flux_i"), []),
    ],
)
def test_colors_are_differences_of_neighboring_bands(names, scalars):
    made, notes = draft_scalars(catalog(**dict.fromkeys(names, np.linspace(15, 20, N))))
    assert made == scalars
    assert bool(notes) is bool(scalars)


# --- planes of images


@pytest.mark.parametrize(
    ("name", "cards", "role", "band", "source"),
    [
        ("a-image-r.fits", {}, "image", "r", "file name"),
        ("a-invvar-r.fits", {}, "weight", "r", "file name"),
        ("a-image-invvar.fits", {}, "weight", None, ""),
        ("a.fits", {"EXTNAME": "VIS_RMS"}, "rms", "VIS", "EXTNAME"),
        ("a.fits", {"EXTNAME": "G_FLAG"}, "mask", "G", "EXTNAME"),
        ("a_g.fits", {"FILTER": "r DECam SDSS"}, "image", "r", "FILTER"),
        ("a_g.fits", {"FILTER": "2"}, "image", "g", "file name"),
        ("a_g.fits", {"BAND": "clear"}, "image", "g", "file name"),
        ("x_f814w_drz.fits", {}, "image", "F814W", "file name"),
        ("coadd_W1_psf.fits", {}, "other", "W1", "file name"),
        ("H/tile_sci.fits", {}, "image", "H", "folder"),
        ("tile.fits", {}, "image", None, ""),
    ],
)
def test_role_and_band_of_a_plane(tmp_path, name, cards, role, band, source):
    (one,) = list_planes(write(tmp_path / "data" / name, image(**cards)))
    assert (one.role, one.band, one.source) == (role, band, source)
    assert one.n_images == 1 and not one.on_sky


def test_planes_go_to_their_bands_and_weights_before_noise(tmp_path):
    path = write(
        tmp_path / "tile.fits",
        *[image(EXTNAME=f"{b}_{r}") for b in "gr" for r in ("SCI", "WHT", "RMS")],
        image(EXTNAME="MASK"),
        image(EXTNAME="G_PSF"),
    )
    planes = list_planes(path)
    groups, unused = group_planes(planes)
    names = {
        band: {role: [plane.unit.name for plane in found] for role, found in roles.items()}
        for band, roles in groups.items()
    }
    # Names of HDUs are in capitals, those of bands as the card has them.
    assert names == {
        b: {"image": [f"{b.upper()}_SCI"], "weight": [f"{b.upper()}_WHT"], "mask": ["MASK"]}
        for b in "gr"
    }
    assert sorted(plane.unit.name for plane in unused) == ["G_PSF", "G_RMS", "R_RMS"]
    assert select_hdu(groups["g"]["image"], planes) == "G_SCI"


def test_planes_are_selected_by_name_else_by_cards_else_by_number(tmp_path):
    cards = [{"BAND": "g"}, {"BAND": "r"}, {"BAND": "r"}]
    planes = list_planes(write(tmp_path / "a.fits", *[image(**c) for c in cards]))
    assert select_hdu(planes[:1], planes) == {"BAND": "g"}
    assert select_hdu(planes[1:2], planes) == planes[1].unit.index == 2
    assert select_hdu(planes[1:], planes) == [2, 3]
    assert select_hdu(planes, planes) is None
    (one,) = list_planes(write(tmp_path / "b.fits", image()))
    assert select_hdu([one], [one, *planes]) is None


def test_bands_are_in_the_order_of_wavelength():
    assert sort_bands(["z", "W1", "VIS", "u", "odd", "Ks", "g"]) == [
        "u", "g", "VIS", "z", "Ks", "W1", "odd",
    ]  # fmt: skip
    assert sort_bands(["decam_z", "decam_g"]) == ["decam_g", "decam_z"]
    assert split_words("a--b_c+d.1") == ["a", "b", "c+d", "1"]


# --- names of files


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["a-1-r.fits", "a-2-r.fits"], "a-*-r.fits"),
        (["a-1-7-r.fits", "a-2-8-r.fits"], "a-*-r.fits"),
        (["a[1]-x.fits", "a[1]-y.fits"], "a[[]1]-*.fits"),
        (["a-1.fits", "a-1-2.fits"], "a-1*"),
    ],
)
def test_a_pattern_has_a_star_where_names_differ(names, pattern):
    assert _common_pattern(names) == pattern


def test_files_are_named_by_a_pattern_of_them_alone(tmp_path):
    for name in ("t1_r.fits", "t2_r.fits", "t1_g.fits", "t2_g.fits"):
        (tmp_path / name).touch()
    files = sorted(tmp_path.iterdir())
    red = {path for path in files if "_r" in path.name}
    assert _name_files(red, files) == f"{tmp_path}/*_r.fits"
    one = {tmp_path / "t1_r.fits"}
    assert _name_files(one, files) == str(tmp_path / "t1_r.fits")
    odd = {tmp_path / "t1_r.fits", tmp_path / "t2_g.fits"}
    assert _name_files(odd, files) == sorted(map(str, odd))


def test_stamps_are_named_by_the_column_that_their_names_hold(tmp_path):
    columns = {"id": [f"g{k}" for k in range(4)], "kind": ["a", "a", "b", "b"]}
    files = [write(tmp_path / "s" / f"x_{name}_y.fits", image(side=20)) for name in columns["id"]]
    draft = draft_stamps(columns, files[:3], tmp_path)
    assert draft.size == 20 and "crop" not in draft.common
    assert draft.notes[0] == "one file for each object: 4 of the 4 names tried exist"
    survey = drafted(draft.format('a "b"'))
    assert survey["image"] == f"{tmp_path}/s/x_{{id}}_y.fits"
    assert (survey["name"], survey["kind"]) == ('a "b"', "stamps")
    assert draft_stamps({"id": ["h1", "h2"]}, files, tmp_path) is None


def test_keys_of_all_bands_stand_once():
    bands = [("g", {"zero_point": 22.5, "image": "g.fits"}), ("r", {"zero_point": 22.5})]
    survey = drafted(SurveyDraft("tiles", bands, {"crop": 9}).format("s"))
    assert (survey["zero_point"], survey["crop"]) == (22.5, 9)
    assert survey["bands"] == [{"name": "g", "image": "g.fits"}, {"name": "r"}]
    alike = SurveyDraft("tiles", [("g", {"hdu": 1}), ("r", {"hdu": 1})]).format("s")
    assert drafted(alike)["bands"] == ["g", "r"]


def test_images_are_found_in_folders_by_their_endings(tmp_path):
    names = ("b.FITS", "a/c.fits.fz", "a/d.txt", "e.jpeg")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in list_images([tmp_path])]
    assert sorted(found) == ["a/c.fits.fz", "b.FITS", "e.jpeg"]
    with pytest.raises(ConfigError, match="There are no images"):
        list_images([tmp_path / "a" / "d.txt"])
