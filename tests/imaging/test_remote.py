"""Images at URLs: the same cutouts as from local files, for few bytes."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import shutil
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn import block_cache, http_client, remote
from astrocnn.catalog import read_catalog
from astrocnn.cli import main
from astrocnn.errors import CatalogError, ConfigError, ImageError, MissingFileError, RemoteError
from astrocnn.flags import Flag
from astrocnn.imaging import Survey, open_source, stamp_file
from astrocnn.imaging.files import FileTemplate
from tests import file_server
from tests.file_server import serve

pytest.importorskip("aiohttp")
fsspec = pytest.importorskip("fsspec")

SIDE, SIZE, N = 400, 16, 5
HEADER = 28_800
"""Bytes that are read at once for the headers of a file."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server, an empty cache, and nothing that is remembered of other addresses."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.01)
    forget()
    with serve() as server:
        yield server
    forget()


def forget() -> None:
    """As in a new process."""
    block_cache._files.clear()
    remote._statuses.clear()
    remote._several.clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_wcs):
    """Plain and compressed tiles in two bands, a cube and a mask."""
    folder = tmp_path_factory.mktemp("tiles")
    header = make_wcs(shape=(SIDE, SIDE)).to_header()
    rng = np.random.default_rng(9)
    for band in "gr":
        data = rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32)
        fits.PrimaryHDU(data, header).writeto(folder / f"{band}.fits")
        for kind, options in {
            "rows": {"compression_type": "RICE_1"},
            "squares": {"compression_type": "HCOMPRESS_1", "tile_shape": (60, 60)},
        }.items():
            packed = fits.CompImageHDU(data, header, **options)
            fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / f"{band}-{kind}.fits")
    cube = fits.PrimaryHDU(rng.integers(-(2**15), 2**15, (3, SIDE, SIDE)).astype("i2"), header)
    cube.header["BSCALE"], cube.header["BLANK"] = 0.5, 7
    cube.writeto(folder / "cube.fits")
    mask = rng.integers(0, 40, (SIDE, SIDE)) == 0
    fits.PrimaryHDU(mask.astype(np.uint8), header).writeto(folder / "mask.fits")
    return folder


@pytest.fixture
def survey(server, folder, make_wcs):
    """A function that cuts objects from the tiles, here or on the server."""
    for path in folder.iterdir():
        server.files[path.name] = path.read_bytes()
    wcs = make_wcs(shape=(SIDE, SIDE))
    x, y = np.random.default_rng(1).uniform(-10, SIDE + 10, (2, N))
    ra, dec = wcs.all_pix2world(x, y, 0)

    def cut(image: str, root: str = server.root, size: int = SIZE, **options):
        chosen = Survey.from_dict({"bands": ["g", "r"], "image": f"{root}/{image}", **options})
        source = open_source(chosen, ra, dec, size=size)
        return source, source.read(np.arange(N))

    cut.local = lambda image, **options: cut(image, str(folder), **options)

    def boxes(size: int) -> list[tuple[slice, slice]]:
        """Pixels of the cutouts that lie on the tile."""
        low = np.ceil(np.stack([y, x], axis=1) - size / 2).astype(int)
        clipped = np.clip(np.stack([low, low + size], axis=2), 0, SIDE)
        return [(slice(*b[0]), slice(*b[1])) for b in clipped]

    cut.boxes, cut.folder = boxes, folder
    return cut


def check_equal(first, second):
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.flags, second.flags)
    np.testing.assert_array_equal(first.no_data, second.no_data)


def mark(boxes, shape=(SIDE, SIDE)) -> np.ndarray:
    """Pixels that some box holds."""
    marked = np.zeros(shape, bool)
    for box in boxes:
        marked[box] = True
    return marked


def test_plain_tiles_send_their_windows_only(server, survey):
    _, cutouts = survey("{band}.fits")
    check_equal(cutouts, survey.local("{band}.fits")[1])
    sent = server.count(after=1)
    assert 0 < sent <= 1.3 * 2 * 4 * mark(survey.boxes(SIZE)).sum()
    assert server.count() - sent == 2 * HEADER
    assert len([r for r in server.requests if r.method == "HEAD"]) == 2


@pytest.mark.parametrize("several", ["each", "joined", "none"])
def test_few_requests_where_a_server_sends_several_ranges(server, survey, several):
    server.several = several
    check_equal(survey("{band}.fits", size=60)[1], survey.local("{band}.fits", size=60)[1])
    lines = sum(box[0].stop - box[0].start for box in survey.boxes(60))
    gets = [r for r in server.requests if r.method == "GET" and r.start > 0]
    if several == "none":
        # One request in vain for each of the two tiles that began together.
        assert len(gets) > lines
        assert sum(r.method == "GET" and r.start == 0 for r in server.requests) <= 4
    else:
        assert len(gets) <= 2 * -(-lines // http_client.RANGES)
        assert server.count(after=1) <= 1.3 * 2 * 4 * mark(survey.boxes(60)).sum()


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.replace(b"Content-Range: bytes ", b"Content-Range: bytes 9"),
        lambda body: body.replace(b"Content-Range", b"Content-Rang"),
        lambda body: body.replace(b"--XX", b"--YY"),
        lambda body: body[:-200],
        lambda body: bytes(len(body)),
    ],
)
def test_damaged_parts_are_asked_for_one_by_one(server, survey, damage, monkeypatch):
    whole = file_server.build_body

    def build(data, ranges):
        kind, value, body = whole(data, ranges)
        return kind, value, damage(body) if len(ranges) > 1 else body

    monkeypatch.setattr(file_server, "build_body", build)
    check_equal(survey("{band}.fits")[1], survey.local("{band}.fits")[1])


def test_second_start_asks_for_nothing_but_the_version(server, survey):
    _, cutouts = survey("{band}.fits")
    server.requests.clear()
    forget()
    chosen = Survey.from_dict({"bands": ["g", "r"], "image": f"{server.root}/{{band}}.fits"})
    source = open_source(chosen, [150.0], [2.0], size=SIZE)
    assert source.fingerprint and server.requests == []
    check_equal(survey("{band}.fits")[1], cutouts)
    assert {r.method for r in server.requests} == {"HEAD"} and len(server.requests) == 2


@pytest.mark.parametrize(("kind", "block"), [("rows", (1, SIDE)), ("squares", (60, 60))])
def test_compressed_tiles_that_are_touched(server, survey, kind, block):
    image = f"{{band}}-{kind}.fits"
    _, cutouts = survey(image, size=12)
    check_equal(cutouts, survey.local(image, size=12)[1])
    pixels = mark(survey.boxes(12))
    rows, columns = (-(-SIDE // n) for n in block)
    padded = np.zeros((rows * block[0], columns * block[1]), bool)
    padded[:SIDE, :SIDE] = pixels
    wanted = padded.reshape(rows, block[0], columns, block[1]).any(axis=(1, 3)).ravel()
    touched = whole = 0
    for band in "gr":
        content = io.BytesIO(server.files[f"{band}-{kind}.fits"])
        with fits.open(content, disable_image_compression=True) as hdus:
            sizes = np.array([len(row) for row in hdus[1].data["COMPRESSED_DATA"]])
        touched, whole = touched + sizes[wanted].sum(), whole + sizes.sum()
    sent = server.count(after=1)
    assert 0 < sent <= 1.3 * touched < 0.9 * whole
    # Other windows of the same tiles cost nothing.
    server.requests.clear()
    survey(image, size=11)
    assert server.count() == 0


def test_scaled_cubes_masks_and_other_grids(server, survey):
    for options in (
        {"bands": [{"name": name, "plane": k} for k, name in enumerate("gri")]},
        {"mask": "mask.fits"},
        {"pixel_scale": 1.3},
        {"mask": "mask.fits", "pixel_scale": 0.8},
    ):
        image = "cube.fits" if "bands" in options else "{band}.fits"
        here, there = options.copy(), options.copy()
        if "mask" in options:
            there["mask"] = f"{server.root}/mask.fits"
            here["mask"] = str(survey.folder / "mask.fits")
        check_equal(survey(image, **there)[1], survey.local(image, **here)[1])


def test_seams_of_tiles(server, tmp_path, make_wcs):
    data = np.random.default_rng(0).normal(0, 1, (300, 300)).astype("f4")
    wcs = make_wcs(shape=data.shape)
    for k in range(2):
        part = wcs[150 * k : 150 * (k + 1)]
        path = tmp_path / f"t{k}.fits"
        fits.PrimaryHDU(data[150 * k : 150 * (k + 1)], part.to_header()).writeto(path)
        server.files[path.name] = path.read_bytes()
    ra, dec = wcs.all_pix2world([149.7, 80], [148.7, 20], 0)
    cutouts = [
        open_source(
            Survey.from_dict({"bands": ["g"], "image": [f"{root}/t{k}.fits" for k in range(2)]}),
            ra, dec, size=20,
        ).read([0, 1])
        for root in (tmp_path, server.root)
    ]  # fmt: skip
    check_equal(*cutouts)
    np.testing.assert_array_equal(cutouts[1].images[0, :, :, 0], data[139:159, 140:160])


def test_gzip_comes_as_a_whole(server, survey):
    server.files["g.fits.gz"] = gzip.compress(server.files["g.fits"], 1)
    server.files["r.fits.gz"] = gzip.compress(server.files["r.fits"], 1)
    check_equal(survey("{band}.fits.gz")[1], survey.local("{band}.fits")[1])


def test_patterns_of_other_file_systems(server, survey, tmp_path):
    memory = fsspec.filesystem("memory")
    for name, data in server.files.items():
        memory.pipe_file(f"/{tmp_path.name}/{name}", data)
    local = survey.local("{band}.fits")[1]
    root = f"memory://{tmp_path.name}"
    check_equal(survey("{band}.f*s", root)[1], local)
    check_equal(survey("{band}.fits", f"simplecache::{root}")[1], local)
    check_equal(survey("{band}.fits", f"file://{survey.folder}")[1], local)
    with pytest.raises(ImageError, match="There is no file for the image of band 'g'"):
        survey("{band}-*-none.fits", root)


# ------------------------------------------------------------------------------------ faults


def fail(n: int, fault: object, method: str = "GET"):
    """Let the first requests of a kind fail."""
    left = [n]

    def choose(asked: str, name: str) -> object:
        if asked != method or left[0] == 0:
            return None
        left[0] -= 1
        return fault

    return choose


@pytest.mark.parametrize("fault", [503, 429, "cut"])
def test_faults_that_pass(server, survey, fault):
    server.fault = fail(4, fault)
    check_equal(survey("{band}.fits")[1], survey.local("{band}.fits")[1])


def test_a_server_that_stalls(server, survey, monkeypatch):
    monkeypatch.setattr(http_client, "STALL_SECONDS", 0.2)
    fsspec.filesystem("http").clear_instance_cache()
    server.fault = fail(3, "stall")
    check_equal(survey("{band}.fits")[1], survey.local("{band}.fits")[1])
    server.fault = fail(1000, "stall")
    forget()
    shutil.rmtree(block_cache._root())
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    with pytest.raises(RemoteError, match="cannot be read from its server"):
        survey("{band}.fits")
    fsspec.filesystem("http").clear_instance_cache()


def test_faults_that_stay_are_one_sentence(server, survey, monkeypatch):
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    for fault, words in {
        503: "cannot be read from its server",
        403: "access to .* is refused",
        404: "does not exist",
        "whole": "sends whole files",
    }.items():
        server.fault = lambda method, name, fault=fault: fault
        with pytest.raises(ImageError if fault == 404 else RemoteError, match=words) as caught:
            survey("{band}.fits")
        assert f"{server.root}/g.fits" in str(caught.value)
        forget()
    server.fault = lambda method, name: "whole"
    check_equal(
        survey("{band}.fits", f"simplecache::{server.root}")[1], survey.local("{band}.fits")[1]
    )
    server.fault = lambda method, name: None
    server.token = "Basic " + base64.b64encode(b"me:secret").decode()
    with pytest.raises(RemoteError, match="refused"):
        survey("{band}.fits")
    with pytest.raises(ConfigError, match="user name or a password"):
        survey("{band}.fits", server.root.replace("//", "//me:secret@"))


def test_a_tile_that_goes_in_the_meantime(server, survey):
    source, whole = survey("{band}.fits")
    assert source.state([0, 1])
    forget()
    del server.files["r.fits"]
    source, cutouts = survey("{band}.fits")
    inside = whole.flags & Flag.NO_COVERAGE == 0
    assert (cutouts.flags[inside] & Flag.FILE_MISSING > 0).all()
    np.testing.assert_array_equal(cutouts.images[..., 0], whole.images[..., 0])
    assert np.isnan(cutouts.images[..., 1]).all()
    assert source.state([0, 1])


def test_a_tile_that_is_written_anew(server, survey):
    survey("{band}.fits")
    server.files["g.fits"] = server.files["r.fits"]
    server.versions["g.fits"] = "2"
    forget()
    with pytest.raises(ImageError, match="was written anew"):
        survey("{band}.fits")
    _, cutouts = survey("{band}.fits")
    np.testing.assert_array_equal(cutouts.images[..., 0], cutouts.images[..., 1])


def test_damaged_cache_is_read_anew(server, survey):
    _, cutouts = survey("{band}.fits")
    extents = list(block_cache._root().rglob("*.extent"))
    assert len(extents) == 4
    for k, path in enumerate(extents):
        content = bytearray(path.read_bytes())
        content[-1 if k % 2 else 5] ^= 1
        path.write_bytes(content if k != 2 else content[:-3])
    (extents[0].parent / "strange.extent").write_bytes(bytes(99))
    forget()
    check_equal(survey("{band}.fits")[1], cutouts)


def test_cache_is_bounded(server, survey, monkeypatch):
    monkeypatch.setattr(block_cache, "MAX_CACHE", 60_000)
    monkeypatch.setattr(block_cache, "_TRIM_AFTER", 0)
    local = survey.local("{band}.fits")[1]
    for _ in range(2):
        check_equal(survey("{band}.fits")[1], local)
        used = sum(p.stat().st_size for p in block_cache._root().rglob("*") if p.is_file())
        assert 0 < used <= 60_000
        forget()
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no/such")
    check_equal(survey("{band}.fits")[1], local)


def test_values_of_a_catalogue_name_no_server():
    fill = FileTemplate("https://host/{id}.fits").fill
    assert fill({"id": "a b/c?d#e"}) == "https://host/a%20b/c%3Fd%23e.fits"
    assert fill({"id": "/etc/x"}) == "https://host//etc/x.fits"
    assert FileTemplate("s3://b/{id}").fill({"id": "x::file:///etc"}) == "s3://b/xfile:///etc"
    local = FileTemplate("{path}").fill({"path": "https://host/a.fits"})
    assert not isinstance(local, remote.Url)
    for text in ("https://{host}/a", "{scheme}://host/a", "s3://{bucket}/a"):
        if text.startswith("{"):
            assert not FileTemplate(text).is_remote
            continue
        with pytest.raises(ConfigError, match="address of a server"):
            FileTemplate(text)


# ---------------------------------------------------------- stamps, catalogues, object stores


def test_stamps_and_their_faults(server, monkeypatch):
    pixels = np.random.default_rng(4).normal(0, 1, (3, 8, 8)).astype(np.float32)
    for k, name in enumerate(("a", "b", "c d")):
        content = io.BytesIO()
        fits.writeto(content, pixels[k])
        server.files[f"cut?id={name.replace(' ', '%20')}&size=8"] = content.getvalue()
    server.files["cut?id=bad&size=8"] = b"no image"
    mapping = {"kind": "stamps", "bands": ["g"]}
    survey = Survey.from_dict({**mapping, "image": f"{server.root}/cut?id={{id}}&size=8"})
    columns = {"id": np.array(["a", "none", "c d", "bad", "b"])}
    source = open_source(survey, columns=columns, size=8)
    cutouts = source.read(np.arange(5))
    np.testing.assert_array_equal(cutouts.images[[0, 2, 4], :, :, 0], pixels[[0, 2, 1]])
    assert (cutouts.flags & (Flag.FILE_MISSING | Flag.FILE_UNREADABLE)).tolist() == [
        0, Flag.FILE_MISSING, 0, Flag.FILE_UNREADABLE, 0
    ]  # fmt: skip
    assert source.fingerprint and source.state([0, 1]) != source.state([2, 1])
    # A server that is down says nothing of an object.
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    server.fault = lambda method, name: 503
    with pytest.raises(RemoteError, match="cannot be read from its server"):
        source.read([0])
    server.fault = lambda method, name: "endless"
    monkeypatch.setattr(stamp_file, "MAX_BYTES", 1 << 20)
    with pytest.raises(RemoteError, match="sends whole files"):
        source.read([0])


def test_catalogues(server, tmp_path):
    table = Table({"id": [2**60 + 1, 2**60 + 3], "ra": [1.0, 2.0], "dec": [3.0, 4.0]})
    for name in ("c.fits", "c.ecsv", "c.parquet", "c.vot"):
        format = "votable" if name == "c.vot" else None
        table.write(tmp_path / name, format=format)
        server.files[name] = (tmp_path / name).read_bytes()
        # A path made of an address has one slash less.
        for address in (f"{server.root}/{name}", Path(f"{server.root}/{name}")):
            assert read_catalog(address).ids.tolist() == table["id"].tolist()
    assert len([r for r in server.requests if r.method == "GET"]) == 4
    server.files["c.fits"] = server.files["c.fits"][:3000]
    server.versions["c.fits"] = "2"
    forget()
    for name, words in {"c.fits": "c.fits", "none.fits": "does not exist"}.items():
        with pytest.raises(CatalogError, match=words) as caught:
            read_catalog(f"{server.root}/{name}")
        assert f"{server.root}/{name}" in str(caught.value)
    server.files["c.vot"] = server.files["c.vot"].replace(b"<TABLEDATA>", b'<STREAM href="x"/>')
    server.versions["c.vot"] = "2"
    forget()
    with pytest.raises(CatalogError, match="another place, which is not opened"):
        read_catalog(f"{server.root}/c.vot")


@pytest.fixture
def bucket(server, folder, monkeypatch):
    """An S3 server with a public bucket; the function switches the check of credentials."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    import boto3

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    service = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    service.start()
    host, port = service.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    keys = {"aws_access_key_id": "me", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", **keys)
    client.create_bucket(Bucket="sky")
    for path in folder.glob("[gr].fits"):
        client.put_object(
            Bucket="sky", Key=f"tiles/{path.name}", Body=path.read_bytes(), ACL="public-read"
        )

    def check(n: int) -> None:
        address = f"http://{host}:{port}/moto-api/reset-auth"
        kind = {"Content-Type": "text/plain"}
        request = urllib.request.Request(address, data=str(n).encode(), headers=kind)
        urllib.request.urlopen(request).close()
        fsspec.filesystem("s3").clear_instance_cache()
        forget()

    yield check
    service.stop()


@pytest.mark.filterwarnings("ignore")
def test_object_store(bucket, survey, monkeypatch):
    local = survey.local("{band}.fits")[1]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    # Without credentials, as of a public archive; then with the user's own.
    check_equal(survey("{band}.fits", "s3://sky/tiles")[1], local)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "me")
    shutil.rmtree(block_cache._root())
    forget()
    check_equal(survey("{band}*", "s3://sky/tiles")[1], local)
    with pytest.raises(ImageError, match="does not exist"):
        survey("{band}.fits", "s3://sky/none")
    with pytest.raises(MissingFileError, match=r"s3://sky/none\.jpg does not exist"):
        remote.read_url(remote.Url("s3://sky/none.jpg"), 9)
    bucket(0)
    with pytest.raises(RemoteError, match=r"access to s3://sky/tiles/[gr].fits is refused"):
        survey("{band}.fits", "s3://sky/tiles")


def test_addresses_on_the_command_line(server, survey, tmp_path, monkeypatch, capsys):
    Table({"id": [1], "ra": [150.0], "dec": [2.0]}).write(tmp_path / "c.csv")
    server.files["c.csv"] = (tmp_path / "c.csv").read_bytes()
    file, out = tmp_path / "survey.toml", tmp_path / "objects.png"
    file.write_text(f'bands = ["g", "r"]\nimage = "{server.root}/{{band}}.fits"\n')
    words = ["show", file, "--catalog", f"{server.root}/c.csv", "--size", "16", "--out", out]
    monkeypatch.setattr(sys, "argv", ["astrocnn", *map(str, words)])
    with contextlib.suppress(SystemExit):
        main()
    assert "1 objects in 2 bands" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")
