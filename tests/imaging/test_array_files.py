"""Images in arrays of NumPy, HDF5, Zarr and Parquet: against the arrays, and bad input."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from astrocnn import block_cache, remote
from astrocnn.errors import ConfigError, ImageError, RemoteError
from astrocnn.flags import Flag
from astrocnn.imaging import Survey, open_source
from astrocnn.imaging.sources import parquet
from tests.file_server import serve

zarr = pytest.importorskip("zarr")

N, SIDE = 12, 9
RNG = np.random.default_rng(2)
PIXELS = RNG.normal(0, 1, (N, 3, SIDE, SIDE)).astype(np.float32)


def write(path: Path, **arrays: np.ndarray) -> None:
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    elif path.suffix == ".zarr":
        group = zarr.open_group(path, mode="w")
        for name, values in arrays.items():
            group.create_array(name, data=values, chunks=(5, *values.shape[1:]))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({k: v.tolist() for k, v in arrays.items()}), path, row_group_size=5)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values, compression="gzip", chunks=True)


def build(path: Path, **mapping) -> Survey:
    kinds = {".h5": "hdf5", ".zarr": "zarr", ".parquet": "parquet"}
    kind = kinds.get(path.suffix, "npy")
    return Survey.from_dict({"kind": kind, "image": str(path), "bands": ["a", "b", "c"], **mapping})


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".zarr", ".parquet"])
def test_channels_sizes_masks_and_units(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    masks = RNG.integers(0, 5, PIXELS.shape).astype(np.int16)
    write(path, images=PIXELS, mask=masks, last=PIXELS.transpose(0, 2, 3, 1))
    masks = masks if suffix != ".parquet" else masks.astype(np.int64)
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


@pytest.mark.parametrize("suffix", [".h5", ".zarr", ".parquet"])
def test_files_follow_each_other_and_identifiers_find_rows(tmp_path, suffix):
    ids = (RNG.permutation(N) + 2**53 + 1).astype(np.int64)
    for k in range(2):
        part = slice(7 * k, 7 + 5 * k)
        write(tmp_path / f"p{k}{suffix}", images=PIXELS[part], object_id=ids[part])
    survey = build(tmp_path / f"p*{suffix}", hdu="images", options={"match": "object_id"})
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
    write(tmp_path / f"p2{suffix}", images=PIXELS[:1], object_id=ids[:1])
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


# ------------------------------------------------------------------------------- Parquet


def picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def read(path: Path, hdu: str, size: int = SIDE, n: int = N, **mapping):
    source = open_source(build(path, hdu=hdu, **mapping), columns={"id": np.arange(n)}, size=size)
    return source.read(np.arange(n)), source


def test_pictures_of_hugging_face(tmp_path):
    colors = RNG.integers(0, 256, (N, SIDE, SIDE, 3)).astype(np.uint8)
    content = [picture(image) for image in colors]
    content[2] = picture(colors[2, ..., 0])
    content[4], content[5], content[6] = b"\x89PNG damaged", None, picture(colors[6, 1:])
    values = [{"bytes": one, "path": "../../etc/passwd"} for one in content]
    pq.write_table(pa.table({"image": values}), tmp_path / "a.parquet", row_group_size=5)
    cutouts, source = read(tmp_path / "a.parquet", "image", pixel_scale=0.4)
    good = [k for k in range(N) if k not in (2, 4, 5, 6)]
    np.testing.assert_array_equal(cutouts.images[good], colors[good])
    np.testing.assert_array_equal(cutouts.images[2], np.repeat(colors[2, ..., :1], 3, axis=2))
    bad = cutouts.flags & Flag.FILE_UNREADABLE > 0
    assert np.flatnonzero(bad).tolist() == [4, 5, 6] and np.isnan(cutouts.images[bad]).all()
    assert [f"row {k}" in p.lower() for k, p in zip((4, 5, 6), source.problems, strict=True)]
    # As bytes alone, and of a single band.
    pq.write_table(pa.table({"png": content[7:]}), tmp_path / "b.parquet")
    red, _ = read(tmp_path / "b.parquet", "png", n=5, bands=[{"name": "r", "plane": 0}])
    np.testing.assert_array_equal(red.images[..., 0], colors[7:, ..., 0])


def test_multimodal_universe_and_tensors(tmp_path):
    rows = [
        {"band": ["g", "r", "z"], "flux": image.tolist(), "psf_fwhm": [1.0, 1.1, 1.2]}
        for image in PIXELS
    ]
    kind = pa.fixed_shape_tensor(pa.float32(), PIXELS.shape[1:])
    storage = pa.array(PIXELS.reshape(N, -1).tolist(), kind.storage_type)
    fixed = pa.FixedSizeListArray.from_arrays(
        pa.FixedSizeListArray.from_arrays(pa.array(PIXELS[:, 0].ravel()), SIDE), SIDE
    )
    table = pa.table(
        {"image": rows, "tensor": pa.ExtensionArray.from_storage(kind, storage), "fixed": fixed}
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    for name in ("image.flux", "tensor"):
        cutouts, _ = read(tmp_path / "a.parquet", name)
        np.testing.assert_array_equal(cutouts.images, PIXELS.transpose(0, 2, 3, 1))
    one, _ = read(tmp_path / "a.parquet", "fixed", bands=["g"])
    np.testing.assert_array_equal(one.images[..., 0], PIXELS[:, 0])
    ragged = [[[1.0, 2.0], [3.0]], [[1.0, 2.0], [3.0, 4.0]]]
    text = [[["a"]], [["b"]]]

    pq.write_table(
        pa.table({"ragged": ragged, "text": text, "empty": pa.nulls(2)}), tmp_path / "b.parquet"
    )
    for name, words in [
        ("ragged", "different lengths"), ("text", "is no image"), ("empty", "holds no values"),
        ("none", "has no column"), ("ragged.x", "cannot be read"),
    ]:  # fmt: skip
        with pytest.raises(ImageError, match=words):
            read(tmp_path / "b.parquet", name, n=2)
    (tmp_path / "c.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-50])
    with pytest.raises(ImageError, match="cannot be read"):
        read(tmp_path / "c.parquet", "tensor")


def test_a_row_group_that_expands(tmp_path, monkeypatch):
    values = pa.array([np.zeros((200, 200)).tolist()] * 100)
    pq.write_table(pa.table({"a": values}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 1e5
    monkeypatch.setattr(parquet, "MAX_MEMORY", 10_000_000)
    with pytest.raises(ImageError, match=r"row group of .* is too large"):
        read(tmp_path / "a.parquet", "a", n=100, bands=["g"])


# ---------------------------------------------------------------------------------- Zarr


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("codec", ["none", "blosc", "zstd", "gzip", "shards"])
def test_versions_and_codecs(tmp_path, version, codec):
    options: dict = {"zarr_format": version}
    if codec == "shards":
        if version == 2:
            return
        options["shards"] = (6, 3, SIDE, SIDE)
    elif codec != "none":
        module = zarr.codecs if version == 3 else pytest.importorskip("numcodecs")
        names = {"blosc": ["BloscCodec", "Blosc"], "zstd": ["ZstdCodec", "Zstd"]}
        options["compressors"] = getattr(
            module, names.get(codec, ["GzipCodec", "GZip"])[version == 2]
        )()
    else:
        options["compressors"] = None
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=PIXELS.shape, dtype="f4", chunks=(3, 3, SIDE, SIDE), **options
    )
    array[:] = PIXELS
    cutouts, source = read(tmp_path / "a.zarr", "")
    np.testing.assert_array_equal(cutouts.images, PIXELS.transpose(0, 2, 3, 1))
    state, digest = source.state([0]), source.fingerprint
    array[7] = PIXELS[0]
    again = read(tmp_path / "a.zarr", "")[1]
    assert again.state([0]) != state and again.fingerprint != digest


def chunk_of(folder: Path, k: int = 0) -> Path:
    return folder / "a" / "c" / str(k) / "0" / "0" / "0"


def test_damage_of_zarr(tmp_path):
    folder = tmp_path / "a.zarr"
    write(folder, a=PIXELS)
    whole = chunk_of(folder, 1).read_bytes()
    expected = PIXELS.transpose(0, 2, 3, 1)
    # Of another size, of another array, cut, and the bombs of three compressors.
    zeros = np.zeros(1 << 28, np.uint8)
    bombs = [zarr_compress(zeros, name) for name in ("GZip", "Zstd")]
    for content in (b"", whole[:-9], b"\x1f\x8b" + whole, bytes(99), *bombs):
        chunk_of(folder, 1).write_bytes(content)
        cutouts, source = read(folder, "a")
        bad = cutouts.flags & Flag.FILE_UNREADABLE > 0
        assert np.flatnonzero(bad).tolist() == list(range(5, 10)) and source.problems
        np.testing.assert_array_equal(cutouts.images[~bad], expected[~bad])
    chunk_of(folder, 1).unlink()
    # A chunk that is not there has the fill value: that is how Zarr stores empty ones.
    assert (read(folder, "a")[0].images[5:10] == 0).all()
    (tmp_path / "other").write_bytes(whole)
    chunk_of(folder, 1).symlink_to(tmp_path / "other")
    cutouts, source = read(folder, "a")
    assert "is a link out of" in source.problems[0] and np.isnan(cutouts.images[5:10]).all()
    text = (folder / "a" / "zarr.json").read_text()
    for old, new, words in [
        ('"shape": [\n    12,', '"shape": [\n    99999999999,', "99999999999 objects"),
        ('"name": "zstd"', '"name": "mine"', "cannot be read|are not read"),
        ('"float32"', '"float99"', "cannot be read"), ("{", "[", "cannot be read"),
    ]:  # fmt: skip
        assert old in text
        (folder / "a" / "zarr.json").write_text(text.replace(old, new))
        (folder / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
        with pytest.raises((ImageError, ConfigError), match=words):
            read(folder, "a")
    zarr.open_group(tmp_path / "b.zarr").create_array(
        "a", shape=(N, 3, 30_000, 30_000), chunks=(1, 3, 30_000, 30_000), dtype="f4"
    )
    with pytest.raises(ImageError, match=r"chunks of the array 'a' of .* are too large"):
        read(tmp_path / "b.zarr", "a")
    for hdu, words in (("none", "cannot be read"), ("", "'hdu' names an array")):
        with pytest.raises(ImageError, match=words):
            read(tmp_path / "b.zarr", hdu)
    with pytest.raises(ImageError, match="cannot be read"):
        (tmp_path / "c.zarr").mkdir()
        read(tmp_path / "c.zarr", "a")


def zarr_compress(values: np.ndarray, name: str) -> bytes:
    return bytes(getattr(pytest.importorskip("numcodecs"), name)(level=1).encode(values))


@pytest.mark.parametrize("suffix", [".zarr", ".parquet"])
def test_arrays_on_a_server(tmp_path, monkeypatch, suffix):
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    block_cache._files.clear()
    remote._statuses.clear()
    path = tmp_path / f"a{suffix}"
    if suffix == ".zarr":
        zarr.open_group(path).create_array(
            "images", data=PIXELS, chunks=(2, 3, SIDE, SIDE), shards=(6, 3, SIDE, SIDE)
        )
    else:
        write(path, images=PIXELS)
    with serve() as server:
        for file in [path, *path.rglob("*")]:
            if file.is_file():
                server.files[str(file.relative_to(tmp_path))] = file.read_bytes()
        survey = Survey.from_dict(
            {
                "kind": suffix[1:],
                "image": f"{server.root}/a{suffix}",
                "bands": ["a", "b", "c"],
                "hdu": "images",
            }
        )
        source = open_source(survey, columns={"id": np.arange(N)}, size=SIDE)
        np.testing.assert_array_equal(
            source.read([3, 11]).images, PIXELS[[3, 11]].transpose(0, 2, 3, 1)
        )
        assert source.fingerprint and source.state([0])
        if suffix == ".zarr":
            # A server that is down says nothing of an object.
            server.fault = lambda method, name: 503
            with pytest.raises(RemoteError, match="cannot be read from its server"):
                source.read([7])
