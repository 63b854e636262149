"""The direction of imports: a module imports only from lower floors."""

from __future__ import annotations

import ast
import functools
import graphlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "astrocnn"
FLOORS = {
    **dict.fromkeys(
        [
            "errors",
            "plugins",
            "flags",
            "atomic",
            "fits_file",
            "stored_files",
            "header_units",
            "progress",
            "scheduling",
            "clusters",
            "column",
            "display",
            "terminal",
            "remote",
            "http_client",
            "block_cache",
            "backend",
        ],
        0,
    ),
    **dict.fromkeys(["catalog", "imaging", "metrics"], 1),
    **dict.fromkeys(["targets", "features", "report"], 2),
    **dict.fromkeys(["datasets", "models", "simulation"], 3),
    **dict.fromkeys(["training", "calibration", "pretraining"], 4),
    "estimators": 5,
    **dict.fromkeys(
        ["prediction", "evaluation", "explain", "embeddings", "labeling", "acquisition", "export"],
        6,
    ),
    "runs": 7,
    "cli": 8,
    "__main__": 9,
}
SIBLINGS_ALLOWED_FROM = 4
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


IMPORTS, FUNCTIONS = (ast.Import, ast.ImportFrom), (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.cache
def find_imports(path: Path, *, local: bool = False) -> list[ast.Import | ast.ImportFrom]:
    """Imports of a file, or those inside functions only."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    if local:
        nodes = [n for f in nodes if isinstance(f, FUNCTIONS) for n in ast.walk(f)]
    return [node for node in nodes if isinstance(node, IMPORTS)]


def imported(path: Path) -> set[str]:
    """Rooms of the package that a file imports, lazily or not."""
    found = set()
    for node in find_imports(path):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            if node.module == "astrocnn":
                found |= {f"astrocnn.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    parts = (name.split(".") for name in found)
    return {p[1] for p in parts if p[0] == "astrocnn" and len(p) > 1} & set(FLOORS)


def external(path: Path) -> set[str]:
    names = set()
    for node in find_imports(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    here = room(path)
    assert here in FLOORS, f"{here} has no floor: place it"
    for other in imported(path) - {here}:
        assert FLOORS[other] <= FLOORS[here], f"{here} imports upwards from {other}"
        if FLOORS[other] == FLOORS[here]:
            assert FLOORS[here] in (0, *range(SIBLINGS_ALLOWED_FROM, 9)), (
                f"{here} imports its sibling {other}"
            )


@pytest.mark.parametrize("folder", ["models", "targets", "explain"])
def test_networks_are_backend_neutral(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        if path != PACKAGE / "explain" / "gradients.py":  # where a gradient is taken
            assert not re.search(r"from astrocnn.backend import .*\btf\b", path.read_text()), path


def test_keras_is_imported_in_one_place():
    for path in MODULES:
        if path.name != "backend.py":
            assert not external(path) & {"keras", "tensorflow"}, path


def test_no_dumping_ground():
    banned = {"utils", "util", "common", "helpers", "misc"}
    assert not [p for p in PACKAGE.rglob("*") if p.stem in banned]


LIGHT_USE = {
    "options and architectures": "import astrocnn.models as m; m.Options(l2=1e-4); "
    "from astrocnn.plugins import load_module, module_names; place = m.__name__ + '.architectures';"
    "[load_module(place, name) for name in module_names(place)]",
    "shards": "import astrocnn.datasets as d; d.Shards, d.write_shards, d.get_d4_views, "
    "d.find_usable_rows, d.fit_normalization",
    "classical methods": "import astrocnn.estimators as e; e.ClassicalEstimator",
    "astrocnn list": "from astrocnn.runs.verbs.list import run; [*run()]",
}


def test_light_imports_stay_light():
    """One process for all: what one of them brings is there from then on."""
    rooms = [r for r, floor in FLOORS.items() if floor <= 2 and (PACKAGE / r).exists()]
    first = ("astrocnn.metrics", "astrocnn.targets")
    modules = [*first, "astrocnn", "astrocnn.cli", *(f"astrocnn.{room}" for room in rooms)]
    code = (
        "import importlib, json, sys\n"
        "first, modules, uses = json.loads(sys.argv[1])\n"
        "for name in modules:\n"
        "    importlib.import_module(name)\n"
        "    more = {'jax', 'torch', 'sklearn'} if name in first else set()\n"
        "    print(name, *({'keras', 'tensorflow', *more} & set(sys.modules)))\n"
        "for name, use in uses.items():\n"
        "    exec(use)\n"
        "    print(name, *({'keras', 'tensorflow'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code, json.dumps([first, modules, LIGHT_USE])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == [*modules, *LIGHT_USE], done.stderr


LOCAL_IMPORTS = {
    # Optional packages: a sentence names the extra where they are missing.
    **dict.fromkeys(
        [
            "galsim",
            "photutils",
            "optuna",
            "qp",
            "umap",
            "jax",
            "dask",
            "distributed",
            "dask_jobqueue",
            "fsspec",
            "aiohttp",
            "botocore",
            "h5py",
            "zarr",
            "hats",
            "mocpy",
            "onnx",
            "usearch",
            "mlflow",
            "onnxruntime",
            "tf2onnx",
            "ai_edge_litert",
        ],
        "optional",
    ),
    # Seconds that a command without figures or tables of that kind need not wait for.
    **dict.fromkeys(
        [
            "matplotlib",
            "pyarrow",
            "skops",
            "sklearn",
            "scipy",
            "astropy",
            "astropy_healpix",
            "rich",
        ],
        "start-up",
    ),
    # Imported already where it is needed: in the kernel of a notebook.
    "IPython": "notebook",
}


def local_imports(path: Path) -> set[str]:
    """Top-level packages that a file imports inside functions."""
    inside = find_imports(path, local=True)
    names = {n.module or "" for n in inside if isinstance(n, ast.ImportFrom)}
    names |= {alias.name for n in inside if isinstance(n, ast.Import) for alias in n.names}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.name != "cli.py"], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_stand_at_the_top(path):
    """Exceptions: the command line, the lazy root, and the packages listed above."""
    assert local_imports(path) <= set(LOCAL_IMPORTS)


def file_imports(path: Path, files: dict[str, Path]) -> set[Path]:
    """Files of the package that a file imports, those for type checkers included."""
    found = set()
    for node in find_imports(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in files else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {files[name] for name in found if name in files} - {path}


def test_no_circle_of_files():
    files = {}
    for path in [*MODULES, PACKAGE / "__init__.py"]:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {path: file_imports(path, files) for path in files.values()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = [str(path.relative_to(PACKAGE)) for path in error.args[1]]
        pytest.fail(f"files import each other: {' <- '.join(circle)}")
