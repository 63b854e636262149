"""``astrocnn init``: what it writes is a valid survey and a valid run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image

from astrocnn.errors import CatalogError, ConfigError
from astrocnn.flags import Flag
from astrocnn.imaging import read_survey
from astrocnn.runs.config import load_run
from astrocnn.runs.run import Run
from astrocnn.runs.verbs.init import TEMPLATES, list_surveys, run
from tests.runs.command import astrocnn

PIPELINES = Path(__file__).parents[2] / "pipelines"


def test_the_surveys_of_pipelines_are_found_and_go_into_the_wheel():
    assert set(list_surveys()) == {path.stem for path in PIPELINES.glob("surveys/*.toml")}
    project = tomllib.loads((PIPELINES.parent / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"pipelines": "astrocnn/pipelines"}


@pytest.mark.parametrize("survey", [*TEMPLATES, *list_surveys()])
def test_written_files_are_valid(tmp_path, survey):
    lines = list(run(tmp_path / "new", survey=survey))
    assert "astrocnn check" in lines[-1]
    if survey in TEMPLATES:
        assert read_survey(tmp_path / "new" / "survey.toml").kind == survey
    config = load_run(tmp_path / "new" / "run.toml")
    assert config.survey is not None and config.survey["root"] == str(tmp_path / "new")


def test_roles_and_classes_come_from_the_catalogue(tmp_path):
    table = Table(
        {
            "OBJECT_ID": [2**62 + i for i in range(40)],
            "RA": [10.0] * 40,
            "DEC": [-5.0] * 40,
            "kind": ["spiral", 'say "S0"', "", "star"] * 10,
            "ccd": [1, 2] * 20,
            "mag": [18.0 + i for i in range(40)],
            "z_spec": [0.01 * i for i in range(40)],
        }
    )
    table.write(tmp_path / "c.fits")
    list(run(tmp_path / "a", survey="tiles", catalog=tmp_path / "c.fits"))
    config = load_run(tmp_path / "a" / "run.toml")
    assert (config.catalog.id, config.catalog.ra, config.catalog.dec) == ("OBJECT_ID", "RA", "DEC")
    assert Path(config.catalog.file) == tmp_path / "c.fits"
    assert config.task.options == {"column": "kind", "classes": ['say "S0"', "spiral", "star"]}
    table.remove_column("kind")
    table["z_spec"][3] = 99.0
    table.write(tmp_path / "z.fits")
    list(run(tmp_path / "b", survey="tiles", catalog=tmp_path / "z.fits"))
    config = load_run(tmp_path / "b" / "run.toml")
    assert config.task.name == "photoz"
    assert config.task.options == {"column": "z_spec", "range": [0.0, 0.4]}


def test_classes_of_mirror_images_are_not_reflected(tmp_path):
    for name, kinds, d4 in (("a", ["S clockwise", "S"], "rotations"), ("b", ["E", "S"], True)):
        Table({"id": [1, 2, 3, 4], "kind": kinds * 2}).write(tmp_path / f"{name}.fits")
        lines = list(run(tmp_path / name, survey="tiles", catalog=tmp_path / f"{name}.fits"))
        assert load_run(tmp_path / name / "run.toml").augmentation.d4 == d4
        assert any("rotations alone" in line for line in lines) == (name == "a")


def test_existing_files_are_left_alone(tmp_path):
    (tmp_path / "run.toml").write_text("mine")
    with pytest.raises(ConfigError, match="has such files"):
        list(run(tmp_path))
    assert (tmp_path / "run.toml").read_text() == "mine"
    assert not (tmp_path / "survey.toml").exists()


def test_unknown_surveys_are_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'sdss_jpeg'"):
        list(run(tmp_path / "x", survey="sdss_jpg"))
    assert not (tmp_path / "x").exists()


def test_names_with_quotes_and_backslashes_are_kept(tmp_path):
    odd = tmp_path / 'my "deep" field'
    odd.mkdir()
    Table({"id": [1, 2, 3, 4], 'the "kind"': ["a", "b"] * 2}).write(odd / "c\\d.fits")
    list(run(odd / 'run "1"', survey="tiles", catalog=odd / "c\\d.fits"))
    config = load_run(odd / 'run "1"' / "run.toml")
    assert config.title == 'run "1"' and Path(config.catalog.file) == odd / "c\\d.fits"
    assert config.task.options["column"] == 'the "kind"'


# ------------------------------------------------------------------------------ from images

VALUES = {"g": 3.0, "r": 5.0, "z": 7.0}
SIDE = 80


def plane(
    value: float, *, on_sky: bool = True, dtype: str = "f4", **cards: object
) -> fits.ImageHDU:
    hdu = fits.ImageHDU(np.full((SIDE, SIDE), value, dtype))
    if on_sky:
        hdu.header.update(
            CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=-5.0, CRPIX1=40.5,
            CRPIX2=40.5, CDELT1=-1e-4, CDELT2=1e-4,
        )  # fmt: skip
    hdu.header.update(cards)
    return hdu


def write(path: Path, *hdus: fits.ImageHDU, **cards: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(cards)), *hdus]).writeto(path)


def masked(value: float, bad: float, **options: object) -> fits.ImageHDU:
    """A weight, noise or mask plane that marks the pixel (40, 40) as bad."""
    hdu = plane(value, **options)
    hdu.data[40, 40] = bad
    return hdu


def legacy_surveys(folder: Path) -> None:
    """One file of images and inverse variances without names; the PSF beside it."""
    hdus = []
    for band, value in VALUES.items():
        hdus.append(plane(value, BAND=band, IMAGETYP="image"))
        hdus.append(masked(1.0, 0.0, BAND=band, IMAGETYP="invvar"))
    write(folder / "cutout_10.fits", *hdus)
    write(folder / "copsf_10.fits", *[plane(1.0, on_sky=False, BAND=b) for b in VALUES])


def exposures(folder: Path) -> None:
    """Image, weight and quality code in files of their own, in folders by night."""
    for k, (band, value) in enumerate(VALUES.items()):
        stem = folder / f"CP2015{k:04d}" / f"c4d_15{k:04d}"
        primary = {"BAND": band, "PRODTYPE": "image"}
        write(Path(f"{stem}_ooi_{band}_ls9.S4.fits"), plane(value, EXTNAME="S4"), **primary)
        write(Path(f"{stem}_oow_{band}_ls9.S4.fits"), plane(1.0, EXTNAME="S4"), **primary)
        dq = masked(0, 5, dtype="i4", EXTNAME="S4")
        write(Path(f"{stem}_ood_{band}_ls9.S4.fits"), dq, **primary)


def named_extensions(folder: Path) -> None:
    """One file of named HDUs with a zero point in each image, as Euclid's; noise without WCS."""
    hdus = []
    for band, value in VALUES.items():
        # 31.4 is the zero point of nJy.
        hdus.append(plane(value, EXTNAME=f"{band}_FLUX", FILTER=band, MAGZERO=31.4))
        hdus.append(plane(1.0, on_sky=False, EXTNAME=f"{band}_PSF"))
        hdus.append(masked(1.0, 1e16, on_sky=False, EXTNAME=f"{band}_RMS"))
    write(folder / "tile.fits", *hdus)


def file_names(folder: Path) -> None:
    """Bands and planes in file names only; a model that is no image."""
    for band, value in VALUES.items():
        write(folder / f"brick-0101m050-image-{band}.fits.gz", plane(value))
        write(folder / f"brick-0101m050-invvar-{band}.fits.gz", masked(1.0, 0.0))
        write(folder / f"brick-0101m050-model-{band}.fits.gz", plane(-1.0))


def hsc_patches(folder: Path) -> None:
    """Image, mask and variance as extensions; a bit of the mask marks the objects themselves."""
    for band, value in VALUES.items():
        hdus = [
            plane(value, EXTNAME="IMAGE"),
            plane(32, dtype="i4", EXTNAME="MASK", MP_DETECTED=5, MP_NO_DATA=8),
            masked(2.0, np.nan, EXTNAME="VARIANCE"),
        ]
        write(folder / f"calexp-HSC-{band.upper()}-9813-4,5.fits", *hdus, FILTER=band)


@pytest.mark.filterwarnings("ignore:Keyword name:astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    "make", [legacy_surveys, exposures, named_extensions, file_names, hsc_patches]
)
def test_bands_and_planes_of_tiles_are_found(tmp_path, make):
    make(tmp_path / "images")
    rows = {"id": [1, 2], "ra": [10.0, 10.0], "dec": [-5.0, -5.0], "kind": ["a", "b"]}
    Table(rows).write(tmp_path / "c.fits")
    lines = list(run(tmp_path / "new", [tmp_path / "images"], catalog=tmp_path / "c.fits"))
    assert lines[-1] == f"next: astrocnn check {tmp_path / 'new' / 'run.toml'}"
    config = load_run(tmp_path / "new" / "run.toml", ["inputs.size=20"])
    source = Run(config).source
    assert source.bands == tuple(VALUES)
    cutout = source.read(np.array([0])).images[0]
    # The bad pixel of each band is no data; all others are those of the image of its band.
    for k, value in enumerate(VALUES.values()):
        pixels = cutout[..., k]
        assert np.isnan(pixels).sum() == 1
        np.testing.assert_allclose(pixels[np.isfinite(pixels)], value, rtol=1e-3)
    if make is named_extensions:
        assert source.unit == "nJy"
    if make is hsc_patches:
        assert any("bit 8 (MP_NO_DATA)" in line for line in lines)


@pytest.mark.filterwarnings("ignore:Keyword name:astropy.io.fits.verify.VerifyWarning")
def test_stamps_with_a_variance_plane(tmp_path):
    for name in (11, 12):
        mask = masked(32, 256, dtype="i4", EXTNAME="MASK", MP_DETECTED=5, MP_NO_DATA=8)
        variance = plane(2.0, EXTNAME="VARIANCE")
        variance.data[0, :3] = 0.0, -1.0, np.inf
        write(tmp_path / "s" / f"{name}.fits", plane(3.0, EXTNAME="IMAGE"), mask, variance)
    Table({"id": [11, 12], "z_spec": [0.1, 0.2]}).write(tmp_path / "c.csv")
    list(run(tmp_path / "new", [tmp_path / "s"], catalog=tmp_path / "c.csv"))
    made = Run(load_run(tmp_path / "new" / "run.toml"))
    (band,) = made.source.survey.bands
    assert set(band.planes()) == {"image", "variance", "mask"} and band.bad_bits == 256
    bad = np.argwhere(np.isnan(made.source.read(np.array([1])).images[0, ..., 0]))
    assert bad.tolist() == [[0, 0], [0, 1], [0, 2], [40, 40]]


def test_a_column_of_paths_makes_stamps_and_counts_make_votes(tmp_path):
    pixels = np.zeros((300, 300, 3), np.uint8) + np.array([200, 120, 40], np.uint8)
    for k in range(4):
        Image.fromarray(pixels).save(tmp_path / f"587{k}.png")
    columns = {
        "id_str": [f"587{k}" for k in range(4)],
        "file_loc": [str(tmp_path / f"587{k}.png") for k in range(3)] + ["/missing/5873.png"],
        "smooth-or-featured-gz_smooth": [3, 1, 2, 0],
        "smooth-or-featured-gz_featured-or-disk": [1, 3, 2, 4],
        "disk-edge-on-gz_yes": [0, 1, 1, 3],
        "disk-edge-on-gz_no": [1, 2, 1, 1],
        "smooth-or-featured-gz_total-votes": [4, 4, 4, 4],
    }
    Table(columns).write(tmp_path / "galaxies.csv")
    said = astrocnn("init", tmp_path / "new", "--catalog", tmp_path / "galaxies.csv")
    assert "3 of the 4 names tried exist" in said.replace("\n", " ")
    config = load_run(tmp_path / "new" / "run.toml")
    assert config.inputs.stretch == "linear"
    made = Run(config)
    cutouts = made.source.read(np.arange(4))
    np.testing.assert_allclose(cutouts.images[0, 32, 32], [40, 120, 200])
    assert cutouts.flags[3] & Flag.FILE_MISSING
    smooth, edge_on = made.task.targets
    assert len(smooth.label_columns) == 2 and len(edge_on.label_columns) == 2
    depends = config.task.options["questions"]["disk_edge_on_gz"]["depends_on"]
    assert depends == "smooth_or_featured_gz.featured_or_disk"


def test_names_that_hold_an_identifier_make_stamps_in_several_bands(tmp_path):
    for name in ("a1", "a2", "a10"):
        for band, value in VALUES.items():
            write(tmp_path / "stamps" / f"{name}_{band}.fits", plane(value, on_sky=False))
    Table({"name": ["a1", "a2", "a10"], "z_spec": [0.1, 0.2, 99.0]}).write(tmp_path / "c.csv")
    lines = list(run(tmp_path / "new", [tmp_path / "stamps"], catalog=tmp_path / "c.csv"))
    assert any("'name' differs in each row" in line for line in lines)
    assert any("pixel_scale" in line for line in lines)
    config = load_run(tmp_path / "new" / "run.toml")
    assert config.catalog.id == "name" and config.inputs.size == SIDE
    source = Run(config).source
    assert source.bands == tuple(VALUES)
    np.testing.assert_allclose(source.read(np.array([2])).images[0, 5, 5], list(VALUES.values()))


def test_magnitudes_and_redshifts_without_identifiers_make_a_run_without_images(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        "zs": np.linspace(0.01, 0.31, 9),
        **{f"mag_{b}": rng.uniform(15, 20, 9) for b in "ugriz"},
    }
    columns["err_g"] = np.full(9, 0.1)
    Table(columns).write(tmp_path / "c.csv")
    lines = list(run(tmp_path / "new", catalog=tmp_path / "c.csv"))
    assert "rows are numbered" in lines[0] and lines[-1].startswith("next: astrocnn check")
    assert not (tmp_path / "new" / "survey.toml").exists()
    config = load_run(tmp_path / "new" / "run.toml")
    assert config.survey is None and config.model.architecture == "ann"
    assert config.inputs.scalars[0] == "mag_u - mag_g" and config.inputs.scalars[-1] == "mag_r"
    assert config.task.options == {"column": "zs", "range": [0.0, 0.4], "family": "mixture"}
    assert Run(config).catalog.ids.tolist() == list(range(1, 10))


def test_images_that_fit_no_row_and_no_place_are_refused(tmp_path):
    write(tmp_path / "images" / "one.fits", plane(1.0, on_sky=False))
    with pytest.raises(ConfigError, match="neither by name nor by position"):
        list(run(tmp_path / "new", [tmp_path / "images"]))
    with pytest.raises(ConfigError, match="no file or folder"):
        list(run(tmp_path / "new", [tmp_path / "image"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no images"):
        list(run(tmp_path / "new", [tmp_path / "empty"]))
    with pytest.raises(ConfigError, match="drafted from images or named"):
        list(run(tmp_path / "new", [tmp_path / "images"], survey="tiles"))
    with pytest.raises(CatalogError, match="is missing"):
        list(run(tmp_path / "new", catalog=tmp_path / "absent.csv"))
    assert not (tmp_path / "new").exists()


@pytest.mark.real_data
@pytest.mark.parametrize(
    "images, bands, planes",
    [
        ("decals_grz_invvar", "g r z", {"weight"}),
        ("legacypipe_dq/testcase6", "g r z", {"weight", "mask"}),
        ("legacypipe_dq/testcase4/images/decam", "z", {"weight", "mask"}),
        ("euclid_q1/tile_RA63_DEC-49_VIS_YJH_300px.fits", "VIS NIR_Y NIR_J NIR_H", {"rms"}),
        ("hst_xdf", "f105w f160w", {"rms"}),
    ],
)
def test_real_surveys_are_recognized(real_data, tmp_path, images, bands, planes):
    lines = list(run(tmp_path / "new", [real_data / images]))
    assert "astrocnn detect" in lines[-1]
    survey = read_survey(tmp_path / "new" / "survey.toml")
    assert survey.band_names == tuple(bands.split())
    for band in survey.bands:
        assert set(band.planes()) == {"image", *planes}
