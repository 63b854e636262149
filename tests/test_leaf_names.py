"""References to leaves as texts: split, made absolute, made portable, and the nearest names."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import pkgutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrocnn import plugins
from astrocnn.errors import ConfigError

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
PLACES = st.lists(NAMES, min_size=1, max_size=3)


@given(PLACES, NAMES)
def test_references_are_split_where_they_were_joined(parts, attribute):
    for place in (".".join(parts), f"{'/'.join(parts)}.py", f"C:/{'/'.join(parts)}.py"):
        leaf = f"{place}:{attribute}"
        assert plugins.is_outside(leaf) and plugins.split_reference(leaf) == (place, attribute)
    file = f"{'/'.join(parts)}.py"
    assert plugins.is_outside(file) and plugins.split_reference(file) == (file, None)
    assert not plugins.is_outside(parts[0])


@pytest.mark.parametrize("leaf", [":x", "module:", "file.py:", "a:b-c", "a:1", "a: b", ":"])
def test_malformed_references(leaf):
    with pytest.raises(ConfigError, match="is malformed") as caught:
        plugins.split_reference(leaf)
    assert caught.value.received == leaf


@given(PLACES, NAMES, st.booleans())
def test_files_become_absolute_once_and_other_texts_stay(parts, attribute, named):
    end = f":{attribute}" if named else ""
    leaf = f"{'/'.join(parts)}.py{end}"
    full = plugins.resolve(leaf, "/some/root")
    assert full == f"/some/root/{leaf}" and plugins.resolve(full, "/other") == full
    for text in (parts[0], f"{'.'.join(parts)}:{attribute}"):
        assert plugins.resolve(text, "/some/root") == text


def test_paths_are_normal_and_count_from_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert plugins.resolve("~/a.py:x") == "/home/someone/a.py:x"
    assert plugins.resolve("../b/./a.py", "/r/s") == "/r/b/a.py"


@pytest.mark.parametrize("attribute", ["", ":net"])
def test_a_portable_reference_names_the_content_and_is_its_own_copy(tmp_path, attribute):
    content = "net = abs  # é\r\n".encode()
    (tmp_path / "my-net.py").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()[:12]
    leaf, copy = plugins.portable(f"{tmp_path}/my-net.py{attribute}")
    assert leaf == f"leaves/my-net-{digest}.py{attribute}" and copy == content
    (tmp_path / "leaves").mkdir()
    (tmp_path / "leaves" / f"my-net-{digest}.py").write_bytes(copy)
    # A copy of the copy does not get a second digest.
    assert plugins.portable(f"{tmp_path}/{leaf}") == (leaf, content)


@pytest.mark.parametrize("leaf", ["lenet", "package.module:net"])
def test_what_is_no_file_is_portable_as_it_is(leaf):
    assert plugins.portable(leaf) == (leaf, None)


@given(st.lists(NAMES, max_size=6), NAMES)
def test_the_nearest_name_is_that_of_difflib(known, name):
    close = difflib.get_close_matches(name, known, 1, 0.5)
    hint = plugins.nearest(name.upper(), known)
    assert (hint is None) == (not close)
    if close:
        ratio = difflib.SequenceMatcher(None, close[0], name).ratio()
        found = hint.removeprefix("did you mean '").removesuffix("'?")
        assert found in known
        assert difflib.SequenceMatcher(None, found, name).ratio() == pytest.approx(ratio)


def test_the_nearest_file_is_one_of_the_folder(tmp_path):
    (tmp_path / "Catalog.FITS").write_text("")
    assert plugins.nearest_file(tmp_path / "catalog.fit") == "did you mean 'Catalog.FITS'?"
    assert plugins.nearest_file(tmp_path / "zzz") is None
    assert plugins.nearest_file(tmp_path / "Catalog.FITS" / "x") is None
    assert plugins.nearest_file("https://example.org/catalog.fit") is None
    assert plugins.nearest_file(tmp_path / "a" / "b") == f"there is no folder {tmp_path / 'a'}"


@pytest.mark.parametrize("kind", sorted(plugins.KINDS))
def test_names_of_a_kind_are_the_files_of_its_folder(kind):
    package = plugins.KINDS[kind].package
    files = {path.stem for path in plugins.folder(package).glob("*.py")}
    own = plugins.module_names(package)
    assert set(own) == {n for n in files if n != "base" and not n.startswith("_")}
    assert list(own) == sorted(own) and set(own) <= set(plugins.names(kind))
    for name in own:
        plugins.check(kind, name)
    with pytest.raises(ConfigError, match=f"no {plugins.KINDS[kind].noun} '{own[0]}_'") as caught:
        plugins.check(kind, f"{own[0]}_")
    assert caught.value.hint == f"did you mean '{own[0]}'?"


def test_modules_of_a_package_by_name():
    package = "astrocnn.catalog"
    assert plugins.load_module(package, "splits") is importlib.import_module(f"{package}.splits")
    assert plugins.folder(package) == Path(importlib.import_module(package).__path__[0])
    found = {m.name for m in pkgutil.iter_modules([str(plugins.folder(package))])}
    assert set(plugins.module_names(package)) == found
    with pytest.raises(
        ConfigError, match=r"(?s)no 'split' among the catalog.*did you mean 'splits'"
    ):
        plugins.load_module(package, "split")


def test_lazy_names_are_those_of_their_modules():
    get = plugins.lazy("astrocnn.catalog", {"SPLITS": "splits"})
    assert get("SPLITS") == ("train", "validation", "test")
    with pytest.raises(AttributeError, match=r"module 'astrocnn.catalog' has no attribute 'roles'"):
        get("roles")
