"""Shards exist whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrocnn import atomic
from astrocnn.catalog import Catalog
from astrocnn.datasets import Shards, write_shards
from astrocnn.errors import AstrocnnError, CatalogError, ConfigError, ImageError, InputsError
from astrocnn.imaging import ArraySource, Inputs
from astrocnn.imaging.cutouts import Cutouts

from .conftest import BANDS, INPUTS, Backwards, N, make_catalog

ROOT = Path(__file__).parents[2]


class Counting(Backwards):
    """Counts the rows that were cut."""

    def __init__(self, images: np.ndarray, **options) -> None:
        super().__init__(images, BANDS, **{"pixel_scale": 0.2, "unit": "nJy", **options})
        self.cut = 0

    def read(self, rows):
        self.cut += len(rows)
        return super().read(rows)


def write(folder: Path, source, catalog: Catalog | None = None, **options) -> Shards:
    options = {"rows_per_shard": 16, **options}
    return write_shards(folder, catalog or make_catalog(), source, INPUTS, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_format_is_the_documented_one(shards: Shards, images: np.ndarray, catalog) -> None:
    with fits.open(shards.directory / "shard-000000.fits") as file:
        assert [hdu.name for hdu in file] == ["PRIMARY", "IMAGE", "OBJECTS"]
        assert file["IMAGE"].header["BITPIX"] == -32
        assert file["IMAGE"].data.shape == (16, 12, 12, 3)
        assert file["IMAGE"].header["BUNIT"] == "nJy" and file["IMAGE"].header["BANDS"] == "g,r,i"
        row = file["OBJECTS"].data["row"]
        np.testing.assert_array_equal(file["IMAGE"].data, images[row])
        np.testing.assert_array_equal(file["OBJECTS"].data["id"], catalog.ids[row])
        assert file["OBJECTS"].header["TUNIT2"] == "deg"
        assert "bit mask" in file["OBJECTS"].header["TCOMM4"]
        names = file["OBJECTS"].columns.names
        assert not [n for n in names if "-" in n]  # TRAPS 15
        assert len({n.lower() for n in names}) == len(names)
        file.verify("exception")
    manifest = json.loads((shards.directory / "manifest.json").read_text())
    assert manifest["rows"] == 50 and [s["rows"] for s in manifest["shards"]] == [16, 16, 16, 2]
    shards.verify()


def test_a_flipped_bit_in_the_table_is_noticed_and_one_in_the_pixels_by_verify(
    tmp_path: Path, images: np.ndarray
) -> None:
    write(tmp_path, Counting(images))
    path = tmp_path / "shard-000001.fits"
    whole = path.read_bytes()
    for at, is_table in ((len(whole) - 3000, True), (3000, True), (9000, False)):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        path.write_bytes(damaged)
        shards = Shards.open(tmp_path)
        if is_table:
            with pytest.raises(ImageError, match="changed since it was written"):
                shards.ids  # noqa: B018
        else:
            assert len(shards.ids) == N
        with pytest.raises(ImageError, match="changed since they were written"):
            shards.verify()
    path.write_bytes(whole)
    shards = Shards.open(tmp_path)
    shards.images([0, N - 1])
    # Reading a map beyond the end of its file would end the process.
    for other in tmp_path.glob("shard-*.fits"):
        os.truncate(other, 8000)
    with pytest.raises(ImageError, match="damaged"):
        shards.images([0])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"shard-000000.fits"', '"../shard-000000.fits"', "should match pattern"),
        ('"rows": 16', '"rows": -1', "greater than or equal to 0"),
        ('"rows": 16', '"rows": 17', "51 rows|50 rows"),
        ('"rows": 50', '"rows": 51', "51 rows, and 50 in the shards"),
        ('"size": 12', '"size": 1000000000', "too large"),
        ('"size": 12', '"size": 13', "changed since it was written"),
        ('"size": 12', '"size": "x"', "valid integer"),
        ('"format": 2', '"format": [2]', "format: Input should be 2"),
        ('"dtype": "i8"', '"dtype": "O"', "a type a FITS table does not hold"),
        ('"roles": {', '"roles": 3, "more": {', "roles"),
        ("{", "[" * 5000, "cannot be read"),
    ],
)
def test_a_manifest_is_not_believed(
    tmp_path: Path, images: np.ndarray, old: str, new: str, sentence: str
) -> None:
    write(tmp_path, Counting(images))
    path = tmp_path / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(AstrocnnError, match=sentence):
        Shards.open(tmp_path).images([0])


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="fitsverify is not installed")
def test_fitsverify_has_no_complaint(shards: Shards) -> None:
    for path in shards.directory.glob("*.fits"):
        done = subprocess.run(["fitsverify", "-q", str(path)], capture_output=True, text=True)
        assert "verification OK" in done.stdout, done.stdout


def test_nothing_is_cut_twice_and_each_shard_is_verified_once(
    tmp_path: Path, images: np.ndarray, monkeypatch
) -> None:
    first, second = Counting(images), Counting(images)
    write(tmp_path, first)
    before = contents(tmp_path)
    hashed: list[str] = []
    sha256 = atomic.sha256
    monkeypatch.setattr("astrocnn.atomic.sha256", lambda p: hashed.append(p.name) or sha256(p))
    write(tmp_path, second)
    assert (first.cut, second.cut) == (50, 0)
    assert hashed == [f"shard-{i:06d}.fits" for i in range(4)]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("fate", ["kill", "full"])
def test_what_is_finished_survives_a_kill_and_a_full_disk(
    tmp_path: Path, images: np.ndarray, shards: Shards, fate: str
) -> None:
    command = [sys.executable, "-m", "tests.datasets.killed", str(tmp_path), fate]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == (-9 if fate == "kill" else 3), done.stderr
    if fate == "full":
        assert "No space left to write 'shard-000002.fits'" in done.stdout
        assert "finished shards are kept" in done.stdout
        assert not list(tmp_path.glob(".tmp-*"))
    assert sorted(p.name for p in tmp_path.glob("shard*")) == [
        "shard-000000.fits",
        "shard-000001.fits",
    ]
    with pytest.raises(ImageError, match="no finished shards"):
        Shards.open(tmp_path)
    leftover = tmp_path / ".tmp-abcdefgh-shard-000002.fits"
    leftover.write_bytes(b"half")
    source = Counting(images)
    write(tmp_path, source)
    assert source.cut == 18 and not leftover.exists()
    assert contents(tmp_path) == contents(shards.directory)


def test_damaged_and_missing_shards_are_noticed_and_cut_again(
    tmp_path: Path, images: np.ndarray, shards: Shards
) -> None:
    write(tmp_path, Counting(images))
    one, two = tmp_path / "shard-000001.fits", tmp_path / "shard-000002.fits"
    one.write_bytes(one.read_bytes()[:5000])
    with pytest.raises(ImageError, match=r"'.*shard-000001.fits' is damaged"):
        Shards.open(tmp_path)
    two.unlink()
    source = Counting(images)
    write(tmp_path, source)
    assert source.cut == 32
    assert contents(tmp_path) == contents(shards.directory)
    data = bytearray(two.read_bytes())
    data[9000] ^= 1
    two.write_bytes(data)
    with pytest.raises(ImageError, match=r"changed since they were written[^:]*\n.*shard-000002"):
        Shards.open(tmp_path).verify()


def test_images_written_anew_after_a_kill_are_cut_anew(tmp_path: Path, images: np.ndarray) -> None:
    images = images.copy()
    write(tmp_path, Counting(images))
    expected = images[10].copy()
    images[10] += 1  # no sample of the fingerprint
    source = Counting(images)
    np.testing.assert_array_equal(write(tmp_path, source).images([10])[0], expected)
    assert source.cut == 0
    (tmp_path / "manifest.json").unlink()
    source = Counting(images)
    np.testing.assert_array_equal(write(tmp_path, source).images([10])[0], images[10])
    assert source.cut == 16


@pytest.mark.parametrize("killed", [False, True], ids=["of a whole set", "of a killed run"])
def test_a_flipped_bit_in_the_pixels_of_a_shard_is_cut_anew(
    tmp_path: Path, images: np.ndarray, shards: Shards, killed: bool
) -> None:
    write(tmp_path, Counting(images))
    if killed:
        (tmp_path / "manifest.json").unlink()
    path = tmp_path / "shard-000001.fits"
    data = bytearray(path.read_bytes())
    data[9000] ^= 1
    path.write_bytes(data)
    source = Counting(images)
    write(tmp_path, source)
    assert source.cut == 16 and contents(tmp_path) == contents(shards.directory)


def test_a_damaged_shard_of_a_whole_set_is_not_replaced_by_one_of_other_images(
    tmp_path: Path, images: np.ndarray
) -> None:
    images = images.copy()
    write(tmp_path, Counting(images))
    images[10] += 1  # no sample of the fingerprint; its shard is the first
    path = tmp_path / "shard-000001.fits"
    data = bytearray(path.read_bytes())
    data[9000] ^= 1
    path.write_bytes(data)
    source = Counting(images)
    np.testing.assert_array_equal(write(tmp_path, source).images([10])[0], images[10])
    assert source.cut == 32


def test_images_written_anew_while_they_are_cut_are_refused(
    tmp_path: Path, images: np.ndarray
) -> None:
    source = Counting(images.copy())
    cut = source.read

    def read(rows: np.ndarray) -> Cutouts:
        found = cut(rows)
        source.images[rows[0]] += 1
        return found

    source.read = read
    with pytest.raises(ImageError, match="written anew while"):
        write(tmp_path, source)


def test_other_work_in_the_same_folder_is_refused_with_what_differs(
    tmp_path: Path, images: np.ndarray
) -> None:
    write(tmp_path, Counting(images))
    before = contents(tmp_path)
    relabelled = make_catalog()
    relabelled.table["kind"][0] = "elliptical"
    renamed = make_catalog()
    renamed.ids[3] += 1
    cases = [
        ({"source": Counting(images), "catalog": relabelled}, "other columns of the catalogue"),
        ({"source": Counting(images), "catalog": renamed}, "other identifiers or positions"),
        ({"source": Counting(images + 1)}, "other image files"),
        ({"source": Counting(images, pixel_scale=0.201)}, None),
        ({"source": Counting(images), "rows_per_shard": 8}, "other rows per shard"),
        ({"source": Counting(images), "columns": ["kind"]}, "other columns of the catalogue"),
    ]
    for options, words in cases:
        if words is None:
            write(tmp_path, **options)
            continue
        with pytest.raises(InputsError, match=words):
            write(tmp_path, **options)
    assert contents(tmp_path) == before
    fresh = write(tmp_path, Counting(images + 1), resume=False, rows_per_shard=25)
    assert len(list(tmp_path.glob("shard*"))) == 2
    np.testing.assert_array_equal(fresh.images([0]), images[[0]] + 1)


def test_shards_of_a_longer_catalogue_do_not_linger(tmp_path: Path, images: np.ndarray) -> None:
    write(tmp_path, Counting(images))
    write(tmp_path, Counting(images[:10]), make_catalog(10), resume=False)
    assert [p.name for p in tmp_path.glob("shard*")] == ["shard-000000.fits"]


def test_refusals(tmp_path: Path, images: np.ndarray, catalog) -> None:
    with pytest.raises(InputsError, match="expected g, r, i"):
        write(tmp_path, ArraySource(images, ["g", "r", "z"], 0.2, "nJy"))
    with pytest.raises(CatalogError, match="same rows"):
        write(tmp_path, Counting(images[:20]))
    with pytest.raises(CatalogError, match=r"no column 'kimd'(.|\n)*did you mean 'kind'"):
        write(tmp_path, Counting(images), columns=["kimd"])
    with pytest.raises(ConfigError, match="`rows_per_shard` must be at least 1"):
        write(tmp_path, Counting(images), rows_per_shard=0)
    text = Inputs(BANDS, 12, scalars=("kind",))
    with pytest.raises(CatalogError, match="'kind' does not hold one number per row"):
        write_shards(tmp_path, catalog, Counting(images), text)
    lost = Inputs(BANDS, 12, scalars=("seeing",))
    with pytest.raises(CatalogError, match="seeing"):
        write_shards(tmp_path, catalog, Counting(images), lost)
    assert not list(tmp_path.iterdir())


def test_a_source_of_another_shape_is_refused(tmp_path: Path, images: np.ndarray) -> None:
    class Odd(Counting):
        def read(self, rows):
            cutouts = super().read(rows)
            return type(cutouts)(cutouts.images[:, 1:], cutouts.flags, cutouts.no_data)

    with pytest.raises(InputsError, match="another shape"):
        write(tmp_path, Odd(images))


def test_other_failures_of_the_disk_are_not_dressed_up(tmp_path, images, monkeypatch) -> None:
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(PermissionError) as error:
        write(tmp_path, Counting(images))
    assert not isinstance(error.value, AstrocnnError)
    assert not list(tmp_path.glob(".tmp-*"))
