"""Files of strangers execute nothing, fetch nothing and write nowhere."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.errors import CatalogError, register_expansion
from astrocnn.imaging import open_source, read_survey

# Reads every file of a folder under an audit hook, and prints what was attempted meanwhile.
READ_ALL = """
import json, os, sys, warnings
from pathlib import Path
from astrocnn import calibration, remote
from astrocnn.catalog import read_catalog
from astrocnn.datasets import Shards
from astrocnn.errors import AstrocnnError
from astrocnn.estimators import load_estimator
from astrocnn.imaging import open_source, read_survey
from astrocnn.models.weight_files import read_weight_file
from astrocnn.prediction import read_pdf
from astrocnn.runs.directory import RunDirectory

FORBIDDEN = {FORBIDDEN}
attempts, watching, reading = [], False, ""
remote.PAUSE_SECONDS = 0

def hook(event, arguments):
    if not watching:
        return
    if event == "open":
        path, mode, flags = arguments
        writes = any(c in str(mode or "") for c in "wax+") or flags & (os.O_WRONLY | os.O_RDWR)
        if writes or "secret" in str(path):
            attempts.append(f"{reading} open {path} {mode}")
    elif event.startswith(FORBIDDEN):
        attempts.append(f"{reading} {event} {arguments!r}"[:200])

def stamp(path):
    survey = read_survey(path.parent / "stamps.survey")
    open_source(survey, columns={"name": [path.name]}, size=8, workers=1).read([0])

def survey(path):
    found = read_survey(path)
    open_source(found, [150.0], [2.0], columns={"name": ["a"]}, size=8, workers=1).read([0])

def run_directory(path):
    RunDirectory.open(path).estimator()

readers = [read_catalog, read_pdf, stamp, survey, calibration.read, load_estimator, Shards.open,
           run_directory, read_weight_file]
results = {}
sys.addaudithook(hook)
warnings.simplefilter("ignore")
for trial in range(2):  # the first one imports what is imported late
    for path in sorted(Path(sys.argv[1]).iterdir()):
        for read in readers:
            watching, reading = trial == 1, f"{read.__name__} {path.name}"
            try:
                read(path)
                results.setdefault(path.name, []).append(read.__name__)
            except AstrocnnError:
                pass
            watching = False
found, attempts, watching = attempts, [], True
os.system("true"); open(sys.argv[1] + "/new", "w")
print(json.dumps({"attempts": found, "results": results, "control": attempts}))
"""
FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.putenv", "shutil.", "pickle.", "urllib.", "http.", "ftplib.", "tempfile.",
    "webbrowser.", "ctypes.dlopen",
)  # fmt: skip


class Evil:
    """Executes a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/astrocnn-was-here",)


def votable(cell: str, head: str = "", data: str = "") -> str:
    data = data or f"<TABLEDATA><TR><TD>{cell}</TD></TR></TABLEDATA>"
    return (
        f'<?xml version="1.0"?>{head}<VOTABLE version="1.3"><RESOURCE><TABLE>'
        f'<FIELD name="id" datatype="char" arraysize="*"/><DATA>{data}</DATA>'
        "</TABLE></RESOURCE></VOTABLE>"
    )


def make_hostile(folder: Path) -> None:
    secret = folder.parent / "secret.txt"
    secret.write_text("id\nhunter2\n")
    code = 'import os\nos.system("touch /tmp/astrocnn-was-here")\nsource = features = None\n'
    (folder / "code.py").write_text(code)
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'
    outside = '<!DOCTYPE VOTABLE SYSTEM "http://127.0.0.1:9/v.dtd">'
    texts = {
        "entity.vot": votable("&e;", entity),
        "dtd.vot": votable("a", outside),
        "href.vot": votable("", data='<BINARY><STREAM href="http://127.0.0.1:9/x"/></BINARY>'),
        "file.vot": votable("", data=f'<FITS><STREAM href="file://{secret}"/></FITS>'),
        "yaml.ecsv": "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: int64}\n"
        "# meta: !!python/object/apply:os.system ['true']\nid\n1\n",
        "include.csv": f"id,x\n=cmd|'/c calc'!A1,{secret}\nfile://{secret},http://127.0.0.1:9/\n",
        "stamps.survey": f'kind = "stamps"\nimage = "{folder}/{{name}}"\nbands = ["g"]\n'
        "pixel_scale = 1.0\n",
        "tiles.survey": f'image = "{folder}/a.fits"\nbands = ["g"]\n',
        "leaf.survey": 'kind = "code.py:source"\nimage = "a.fits"\nbands = ["g"]\n',
        "module.survey": 'kind = "antigravity:fly"\nimage = "a.fits"\nbands = ["g"]\n',
        "url.survey": 'image = "http://127.0.0.1:9/a.fits"\nbands = ["g"]\n',
        "columns.survey": 'kind = "stamps"\nimage = "{name}"\nbands = ["g"]\n',
        "host.survey": 'kind = "stamps"\nimage = "http://{name}/a.fits"\nbands = ["g"]\n',
        "format.survey": 'kind = "stamps"\nimage = "{name.__class__}{name!r}"\nbands = ["g"]\n',
        "pickled.json": json.dumps({"format": 1, "model": "", "arrays": "pickled.npz"}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    pixels = fits.PrimaryHDU(np.ones((9, 9), "f4"))
    pixels.header["GRPLC1"] = "http://127.0.0.1:9/group.fits"
    for axis, (kind, value) in enumerate((("RA---TAN", 150.0), ("DEC--TAN", 2.0)), start=1):
        pixels.header[f"CTYPE{axis}"], pixels.header[f"CRVAL{axis}"] = kind, value
        pixels.header[f"CRPIX{axis}"], pixels.header[f"CDELT{axis}"] = 5.0, 1e-4
    pixels.header["INHERIT"], pixels.header["ORIGFILE"] = True, str(secret)
    table = fits.table_to_hdu(Table({"id": [1], "file": [str(secret)]}))
    fits.HDUList([pixels, table]).writeto(folder / "a.fits")
    np.savez(folder / "pickled.npz", np.array([Evil()], dtype=object))
    (folder / "raw.pickle").write_bytes(pickle.dumps(Evil()))
    with zipfile.ZipFile(folder / "weights.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Evil()}, protocol=2))
    start = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, Evil())
    (folder / "old.pth").write_bytes(b"".join(pickle.dumps(x, protocol=2) for x in start))
    # A type of this name was unpickled by earlier versions of pyarrow (CVE-2023-47248).
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Evil()),
    }
    schema = pa.schema([pa.field("id", pa.int64(), metadata=extension)])
    pq.write_table(pa.table({"id": [1, 2]}, schema=schema), folder / "typed.parquet")
    for kind, about in (
        ("classical", {"kind": "classical", "method": "os:system"}),
        ("leaf", {"kind": "keras_estimator", "architecture": f"{folder}/code.py:features"}),
    ):
        model = folder / kind / "model"
        model.mkdir(parents=True)
        for place in (model.parent, model):
            (place / "estimator.json").write_text(json.dumps(about))
        (model / "code.py").write_text(code)
        (folder / kind / "config.toml").write_text('[model]\narchitecture = "code.py:features"\n')
        with zipfile.ZipFile(model / "model.skops", "w") as archive:
            state = {"__class__": "system", "__module__": "os", "__loader__": "TypeNode"}
            archive.writestr("schema.json", json.dumps(state))
        (folder / kind / "model.skops").write_bytes((model / "model.skops").read_bytes())


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> dict:
    """What was attempted while all readers read all hostile files, and what they returned."""
    folder = tmp_path_factory.mktemp("strange") / "files"
    folder.mkdir()
    make_hostile(folder)
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL.replace("{FORBIDDEN}", repr(FORBIDDEN)), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_is_executed_fetched_or_written(watched):
    # A survey file is the user's: the addresses that it names are those of the images.
    own = [a for a in watched["attempts"] if a.startswith("survey url.survey socket.")]
    assert any("127.0.0.1" in attempt for attempt in own) and watched["attempts"] == own
    assert not Path("/tmp/astrocnn-was-here").exists()


def test_the_harmless_ones_were_read(watched):
    # Without results the test above would say nothing.
    read = {name: {*readers} - {"stamp"} for name, readers in watched["results"].items()}
    for name in ("a.fits", "include.csv", "typed.parquet", "dtd.vot"):
        assert "read_catalog" in read[name], name
    assert "stamp" in watched["results"]["a.fits"] and "survey" in read["tiles.survey"]
    for name in ("entity.vot", "href.vot", "file.vot", "yaml.ecsv", "leaf.survey", "classical"):
        assert not read.get(name), name
    assert len(watched["control"]) == 2, "the hook sees what happens"


def test_messages_name_variables_and_do_not_show_them(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROCNN_TOKEN", "hunter2-hunter2")
    path = tmp_path / "s.toml"
    path.write_text('image = "$ASTROCNN_TOKEN/${ASTROCNN_TOKEN}.fits"\nbands = ["g"]\n')
    with pytest.raises(Exception, match=re.escape("$ASTROCNN_TOKEN/$ASTROCNN_TOKEN.fits")) as said:
        open_source(read_survey(path), [150.0], [2.0], size=8)
    assert "hunter2" not in str(said.value)
    stamps = '\nkind = "stamps"\npixel_scale = 1.0\n'
    path.write_text('image = "$ASTROCNN_TOKEN/{name}.fits"\nbands = ["g"]' + stamps)
    source = open_source(read_survey(path), columns={"name": ["a"]}, size=8, workers=1)
    source.read([0])
    assert "$ASTROCNN_TOKEN/a.fits" in source.problems[0] and "hunter2" not in source.problems[0]


def test_short_values_do_not_change_other_words():
    register_expansion("LEVEL", "7")
    assert "7 rows" in str(CatalogError("7 rows are wrong."))
