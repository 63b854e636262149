"""Images in arrays of NumPy and HDF5 files: against the arrays themselves, and bad input."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocnn.errors import ConfigError, ImageError
from astrocnn.flags import Flag
from astrocnn.imaging import Survey, open_source

N, SIDE = 12, 9
RNG = np.random.default_rng(2)
PIXELS = RNG.normal(0, 1, (N, 3, SIDE, SIDE)).astype(np.float32)


def write(path: Path, **arrays: np.ndarray) -> None:
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values, compression="gzip", chunks=True)


def build(path: Path, **mapping) -> Survey:
    kind = "hdf5" if path.suffix == ".h5" else "npy"
    return Survey.from_dict({"kind": kind, "image": str(path), "bands": ["a", "b", "c"], **mapping})


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_channels_sizes_masks_and_units(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    masks = RNG.integers(0, 5, PIXELS.shape).astype(np.int16)
    write(path, images=PIXELS, mask=masks, last=PIXELS.transpose(0, 2, 3, 1))
    expected = np.where(masks & 4, np.nan, PIXELS).transpose(0, 2, 3, 1) * np.float32(3)
    options = {"mask_hdu": "mask", "bad_bits": 4, "flux_scale": 3.0, "unit": "nJy"}
    survey = build(path, hdu="images", **options)
    rows = np.array([5, 0, 5, 11])
    cutouts = open_source(survey, columns={"id": np.arange(N)}, size=SIDE).read(rows)
    np.testing.assert_array_equal(cutouts.images, expected[rows])
    assert not (cutouts.flags & ~Flag.NO_DATA_PIXELS).any()
    # Another place of the channels, one band of them, and the center of the images.
    one = build(path, hdu="last", bands=[{"name": "c", "plane": 2}])
    small = open_source(one, columns={"id": np.arange(N)}, size=5).read(rows)
    np.testing.assert_array_equal(small.images[..., 0], PIXELS[rows, 2, 2:7, 2:7])
    large = open_source(one, columns={"id": np.arange(N)}, size=11).read(rows)
    np.testing.assert_array_equal(large.images[:, 1:-1, 1:-1, 0], PIXELS[rows, 2])
    assert np.isnan(large.images[:, 0]).all()
    assert (large.flags == Flag.SIZE_MISMATCH | Flag.PARTLY_OUTSIDE).all()


def test_files_follow_each_other_and_identifiers_find_rows(tmp_path):
    ids = (RNG.permutation(N) + 2**53 + 1).astype(np.int64)
    for k in range(2):
        part = slice(7 * k, 7 + 5 * k)
        write(tmp_path / f"p{k}.h5", images=PIXELS[part], object_id=ids[part])
    survey = build(tmp_path / "p*.h5", hdu="images", kind="hdf5", options={"match": "object_id"})
    wanted = np.array([ids[8], 17, ids[0], ids[11]])
    source = open_source(survey, columns={"object_id": wanted}, size=SIDE)
    cutouts = source.read(np.arange(4))
    np.testing.assert_array_equal(
        cutouts.images[[0, 2, 3]], PIXELS[[8, 0, 11]].transpose(0, 2, 3, 1)
    )
    assert (cutouts.flags & Flag.FILE_MISSING).tolist() == [0, Flag.FILE_MISSING, 0, 0]
    assert source.order().tolist() == [1, 2, 0, 3]
    text = open_source(survey, columns={"object_id": wanted.astype(str)}, size=SIDE)
    np.testing.assert_array_equal(text.read([0, 3]).images, cutouts.images[[0, 3]])
    write(tmp_path / "p2.h5", images=PIXELS[:1], object_id=ids[:1])
    with pytest.raises(ImageError, match="occur twice"):
        open_source(survey, columns={"object_id": wanted}, size=SIDE)


def test_mapped_npy_and_state(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS[:, 0])
    survey = build(tmp_path / "a.npy", bands=["a"], valid_range=[-1.0, 1.0])
    source = open_source(survey, columns={"id": np.arange(N)}, size=SIDE)
    state, print_ = source.state([0]), source.fingerprint
    inside = np.where(np.abs(PIXELS[:, 0]) <= 1, PIXELS[:, 0], np.nan)
    np.testing.assert_array_equal(source.read(np.arange(N)).images[..., 0], inside)
    np.save(tmp_path / "a.npy", PIXELS[:, 1])
    assert source.state([0]) != state
    assert open_source(survey, columns={"id": np.arange(N)}, size=SIDE).fingerprint != print_


class Evil:
    def __reduce__(self):
        return Path("evil").write_text, ("",)


def test_bad_input_is_one_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.npz", images=PIXELS, one=PIXELS[0, 0], other=PIXELS[:5])
    write(tmp_path / "a.h5", images=PIXELS, text=np.array([b"a"] * N))
    with h5py.File("links.h5", "w") as file:
        file["away"] = h5py.ExternalLink("a.h5", "images")
        file["soft"] = h5py.SoftLink("/away")
        layout = h5py.VirtualLayout(shape=PIXELS.shape, dtype="f4")
        layout[...] = h5py.VirtualSource("a.h5", "images", shape=PIXELS.shape)
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", (4, 4, 4), "u1", external=[("a.npz", 0, 64)])
        file.create_dataset("huge", (4, 10**5, 10**5), "f4", chunks=(1, 10, 10))
    np.save("pickled.npy", np.array([Evil()] * N, dtype=object), allow_pickle=True)
    Path("raw.npy").write_bytes(pickle.dumps(Evil()))
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 99, 99)}
    )
    Path("lies.npy").write_bytes(head.getvalue())
    with zipfile.ZipFile("lies.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue())
    Path("cut.h5").write_bytes(Path("a.h5").read_bytes()[:900])
    Path("cut.npz").write_bytes(Path("a.npz").read_bytes()[:-99])
    columns = {"id": np.arange(N), "name": np.array(["x"] * N)}
    for name, hdu, words in [
        ("links.h5", "away", "has no dataset"), ("links.h5", "soft", "has no dataset"),
        ("links.h5", "virtual", "is no dataset of this file"),
        ("links.h5", "raw", "is no dataset of this file"), ("links.h5", "huge", "too large"),
        ("a.h5", "none", "has no dataset"), ("a.h5", "text", "holds no images"),
        ("cut.h5", "images", "cannot be read"), ("a.h5", None, "'hdu' names one"),
        ("pickled.npy", None, "cannot be read"), ("raw.npy", None, "cannot be read"),
        ("lies.npy", None, "cannot be read"), ("lies.npz", None, "cannot be read"),
        ("cut.npz", "images", "cannot be read"), ("a.npz", None, "no such array"),
        ("a.npz", "one", "holds no images"), ("a.npz", "nothing", "no such array"),
    ]:  # fmt: skip
        survey = build(tmp_path / name, **({} if hdu is None else {"hdu": hdu}))
        with pytest.raises(ImageError, match=words):
            open_source(survey, columns=columns, size=SIDE)
    assert not Path("evil").exists()
    for change, words in [
        ({"hdu": "other"}, "5 objects and the catalogue 12"),
        ({"options": {"rows": "id"}}, "unknown options"), ({"crop": 3}, "crop applies to stamps"),
        ({"options": {"row": "no"}}, "names a column that"),
        ({"options": {"row": "name"}}, "holds no integers"), ({"plane": 7}, "3 channels"),
        ({"zero_point": "MAGZP"}, "must be a number"), ({"bands": ["a"]}, "3 channels"),
        ({"image": "https://127.0.0.1:9/a.npz"}, "a file on this machine"),
        ({"hdu": 2}, "name of an"),
    ]:  # fmt: skip
        survey = build(tmp_path / "a.npz", **{"hdu": "images", **change})
        with pytest.raises(ConfigError, match=words):
            open_source(survey, columns=columns, size=SIDE)
