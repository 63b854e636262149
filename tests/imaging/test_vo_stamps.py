"""Stamps by the Virtual Observatory: the script of the how-to against services on this machine.

The answers are written in the form of SIA 2.0, DataLink 1.1 and SODA 1.0, and of hips2fits; no
service is asked.
"""

from __future__ import annotations

import io
import runpy
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS

from astrocnn.flags import Flag
from astrocnn.imaging import open_source, read_survey

pytest.importorskip("pyvo")
SCRIPT = Path(__file__).parents[2] / "pipelines" / "vo_stamps.py"
SIDE, SCALE = 300, 0.4
BANDS = {"g": 4.8e-7, "r": 6.2e-7}

CAPABILITIES = """<?xml version="1.0"?>
<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
  xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <capability standardID="ivo://ivoa.net/std/SIA#query-2.0">
  <interface xsi:type="vs:ParamHTTP" role="std" version="2.0">
   <accessURL use="base">{root}/sia2/query</accessURL>
  </interface>
 </capability>
</vosi:capabilities>"""
FIELDS = {
    "obs_publisher_did": ("char", "meta.ref.ivoid"), "access_url": ("char", "meta.ref.url"),
    "access_format": ("char", "meta.code.mime"), "calib_level": ("int", "meta.code;obs.calib"),
    "s_ra": ("double", "pos.eq.ra"), "s_dec": ("double", "pos.eq.dec"),
}  # fmt: skip
LINKS = {
    "ID": ("char", "meta.id;meta.main"), "access_url": ("char", "meta.ref.url"),
    "service_def": ("char", "meta.ref"), "error_message": ("char", "meta.code.error"),
    "semantics": ("char", "meta.code"), "content_type": ("char", "meta.code.mime"),
}  # fmt: skip
SODA = """<RESOURCE type="meta" utype="adhoc:service" ID="soda">
 <PARAM name="standardID" datatype="char" arraysize="*" value="ivo://ivoa.net/std/SODA#sync-1.0"/>
 <PARAM name="accessURL" datatype="char" arraysize="*" value="{root}/soda"/>
 <GROUP name="inputParams">
  <PARAM name="ID" datatype="char" arraysize="*" value="" ref="ID"/>
  <PARAM name="CIRCLE" datatype="double" arraysize="3" unit="deg" xtype="circle" value=""/>
 </GROUP></RESOURCE>"""


def votable(fields: dict, rows: list[list[object]], more: str = "") -> str:
    """A table in the form of an answer of DAL."""
    size = {"char": " arraysize='*'"}
    uses = {
        "access_url": " utype='obscore:Access.Reference'",
        "access_format": " utype='obscore:Access.Format'",
    }
    columns = "".join(
        f"<FIELD name='{n}' ID='{n}' datatype='{kind}' ucd='{ucd}'"
        f"{size.get(kind, '')}{uses.get(n, '')}/>"
        for n, (kind, ucd) in fields.items()
    )
    cells = "".join(f"<TR>{''.join(f'<TD>{c}</TD>' for c in row)}</TR>" for row in rows)
    return (
        '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        '<RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>'
        f"<TABLE>{columns}<DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE></RESOURCE>"
        f"{more}</VOTABLE>"
    )


@pytest.fixture
def sky():
    """Images by band, and their coordinates."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [SIDE / 2, SIDE / 2], [-SCALE / 3600, SCALE / 3600]
    rng = np.random.default_rng(3)
    return wcs, {band: rng.normal(0, 1, (SIDE, SIDE)).astype("f4") for band in BANDS}


@pytest.fixture
def archive(sky):
    """Services of SIA 2, DataLink, SODA and hips2fits."""
    wcs, images = sky
    state = SimpleNamespace(root="", asked=[], fails=set(), soda=True)

    def cut(band: str, ra: float, dec: float, n: int) -> bytes:
        x, y = wcs.all_world2pix(ra, dec, 0)
        part = Cutout2D(images[band], (float(x), float(y)), n, wcs=wcs, mode="partial")
        content = io.BytesIO()
        fits.PrimaryHDU(part.data, part.wcs.to_header()).writeto(content)
        return content.getvalue()

    def answer(path: str, query: dict[str, str]) -> bytes | str:
        if path == "/sia2/capabilities":
            return CAPABILITIES.format(root=state.root)
        if path == "/sia2/query":
            shape, ra, dec, _ = query["POS"].split()
            low, high = (float(one) for one in query["BAND"].split())
            band = next(b for b, length in BANDS.items() if low <= length <= high)
            assert shape == "CIRCLE"
            inside = abs(float(dec) - 2) < SIDE * SCALE / 7200
            rows = [
                [f"ivo://x/{band}{level}", f"{state.root}/links?ID={band}{level}",
                 "application/x-votable+xml;content=datalink", level, 150.0, 2.0]
                for level in (1, 3)
            ]  # fmt: skip
            return votable(FIELDS, rows if inside else [])
        if path == "/links":
            whole = f"{state.root}/whole?ID={query['ID']}"
            rows = [[query["ID"], whole, "", "", "#this", "image/fits"]]
            if state.soda:
                rows.append([query["ID"], "", "soda", "", "#cutout", "image/fits"])
            return votable(LINKS, rows, SODA.format(root=state.root) if state.soda else "")
        if path == "/whole":
            assert query["ID"].endswith("3"), "the best calibrated one"
            return cut(query["ID"][-2], 150.0, 2.0, SIDE)
        if path == "/soda":
            assert query["ID"].endswith("3"), "the best calibrated one"
            ra, dec, radius = (float(one) for one in query["CIRCLE"].split())
            return cut(query["ID"][-2], ra, dec, 2 * int(np.ceil(radius * 3600 / SCALE)) + 1)
        assert path == "/hips2fits"
        n = round(float(query["fov"]) * 3600 / SCALE)
        assert int(query["width"]) == int(query["height"]) == n
        return cut(query["hips"][-1], float(query["ra"]), float(query["dec"]), n)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name.upper() if parts.path != "/hips2fits" else name: values[0]
                     for name, values in parse_qs(parts.query).items()}  # fmt: skip
            state.asked.append((parts.path, query))
            fails = parts.path in state.fails
            body = b"down" if fails else answer(parts.path, query)
            body = body.encode() if isinstance(body, str) else body
            self.send_response(500 if fails else 200)
            kind = "image/fits" if body[:6] == b"SIMPLE" else "application/x-votable+xml"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.root = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def objects(tmp_path, sky):
    """Two objects on the images and one beside them."""
    wcs, _ = sky
    ra, dec = wcs.all_pix2world([100.0, 203.0, 100.0], [120.0, 80.0, 900.0], 0)
    table = Table({"id": [7, -9, 2**60 + 1], "ra": ra, "dec": dec})
    table.write(tmp_path / "objects.csv")
    return table


def read(folder: Path, objects: Table, size: int):
    source = open_source(read_survey(folder / "survey.toml"), columns=dict(objects), size=size)
    return source.read(np.arange(len(objects))), source


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("soda", [True, False])
def test_images_found_by_sia_and_cut_by_soda(tmp_path, archive, objects, sky, soda):
    archive.soda = soda
    main = runpy.run_path(str(SCRIPT))["main"]
    folder = tmp_path / "stamps"
    bands = [f"{band}={length}" for band, length in BANDS.items()]
    words = [str(tmp_path / "objects.csv"), str(folder), "--side", "8.0", "--sia",
             f"{archive.root}/sia2", "--bands", *bands]  # fmt: skip
    archive.fails = {"/soda", "/whole"}
    assert main(words) == 1 and not list(folder.glob("*.fits"))
    archive.fails = set()
    assert main(words) == 0
    cutouts, source = read(folder, objects, 20)
    wcs, images = sky
    assert source.pixel_scale == pytest.approx(SCALE, rel=1e-4)
    for k in range(2):
        x, y = (float(v) for v in wcs.all_world2pix(objects["ra"][k], objects["dec"][k], 0))
        for b, band in enumerate(BANDS):
            expected = Cutout2D(images[band], (x, y), 20, mode="partial").data
            np.testing.assert_array_equal(cutouts.images[k, :, :, b], expected)
    assert not cutouts.flags[:2].any()
    assert cutouts.flags[2] & Flag.FILE_MISSING and np.isnan(cutouts.images[2]).all()
    # What is there is not asked for again.
    archive.asked.clear()
    assert main(words) == 0
    paths = [path for path, _ in archive.asked]
    assert paths == ["/sia2/capabilities", "/sia2/query", "/sia2/query"]


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_stamps_of_a_hips(tmp_path, archive, objects, sky, monkeypatch):
    hips2fits = pytest.importorskip("astroquery.hips2fits").hips2fits
    monkeypatch.setattr(type(hips2fits), "server", f"{archive.root}/hips2fits")
    main = runpy.run_path(str(SCRIPT))["main"]
    words = [str(tmp_path / "objects.csv"), str(tmp_path / "s"), "--side", "8.4", "--pixels", "21"]
    assert main([*words, "--hips", "g=CDS/P/X/g", "r=CDS/P/X/r"]) == 1  # one lies off the images
    cutouts, _ = read(tmp_path / "s", objects, 21)
    wcs, images = sky
    x, y = (np.round(v).astype(int) for v in wcs.all_world2pix(objects["ra"], objects["dec"], 0))
    for k in range(2):
        expected = images["r"][y[k] - 10 : y[k] + 11, x[k] - 10 : x[k] + 11]
        np.testing.assert_array_equal(cutouts.images[k, :, :, 1], expected)
    assert cutouts.flags[2] & Flag.FILE_MISSING
    with pytest.raises(SystemExit):
        main(words)
