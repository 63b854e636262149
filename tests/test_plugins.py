"""Leaves found by name, in entry points, modules, files and as objects; and what may be run."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from importlib import metadata
from pathlib import Path

import pytest

from astrocnn import plugins
from astrocnn.errors import AstrocnnWarning, ConfigError

NET = """
IMAGE = True
HEAD_DROPOUT = 0.25

def features(image, scalars, block):
    return block.flatten(image)

width = 3
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A machine that trusts nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(plugins, "_trusted", set())
    return tmp_path / "cache"


@pytest.fixture
def net(tmp_path) -> Path:
    path = tmp_path / "my_net.py"
    path.write_text(NET)
    return path


def write(folder: Path, text: str, name: str = "leaf.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.fixture
def entry_point(monkeypatch):
    """Installs an entry point of a kind."""

    def install(kind: str, name: str, value: str) -> None:
        point = metadata.EntryPoint(name, value, f"astrocnn.{kind}")
        known = plugins._installed

        def installed(group, *folders):
            return [point] if group == point.group else known(group, *folders)

        monkeypatch.setattr(plugins, "_installed", installed)

    return install


@pytest.mark.parametrize("kind", [k for k, v in plugins.KINDS.items() if v.package])
def test_own_leaves_of_each_kind(kind):
    assert plugins.names(kind)
    for name in plugins.names(kind):
        leaf = plugins.load(kind, name)
        assert plugins.reference(kind, leaf) == plugins.short_name(kind, leaf) == name
        assert plugins.load(kind, leaf) is leaf


def test_explanation_method_of_a_file_refers_to_that_file(tmp_path):
    path = tmp_path / "edge_map.py"
    path.write_text(
        "from astrocnn.explain import AttributionMethod\n"
        "def edge_map(model, images, target, *, scalars=None, batch_size=64):\n"
        "    return images\n"
        "METHOD = AttributionMethod(edge_map)\n"
    )
    method = plugins.load("explain", str(path), trusted=True)
    assert plugins.short_name("explain", method) == "edge_map"
    reference = plugins.reference("explain", method)
    assert reference.startswith("leaves/edge_map-") and reference.endswith(".py:METHOD")


def test_family_is_the_class_that_bears_the_name_of_its_file():
    family = plugins.load("families", "dirichlet_multinomial")
    assert family.__name__ == "DirichletMultinomial"
    assert all(isinstance(e, family) for e in plugins.declared(family, "examples")())


def test_misspelt_name_gets_the_nearest():
    with pytest.raises(
        ConfigError, match=r"(?s)no architecture 'lenett'.*did you mean 'lenet'"
    ) as e:
        plugins.load("architectures", "lenett")
    assert "path/to/file.py:attribute" in str(e.value)
    with pytest.raises(ConfigError, match="did you mean 'photoz'"):
        plugins.check("tasks", "photo_z")
    with pytest.raises(ConfigError, match="no image source 'sdss'"):
        plugins.load("sources", "sdss")


def test_file_counts_from_its_root(net, tmp_path, monkeypatch):
    leaf = plugins.load("architectures", "my_net.py:features", tmp_path, trusted=True)
    assert leaf.__name__ == "features"
    assert plugins.short_name("architectures", leaf) == "my_net"
    monkeypatch.chdir(tmp_path)
    assert plugins.load("architectures", "my_net.py:features") is leaf
    # The attribute of the kind may be left out.
    assert plugins.load("architectures", str(net)) is leaf


def test_what_a_leaf_declares_stands_beside_it(net):
    leaf = plugins.load("architectures", str(net), trusted=True)
    assert plugins.declared(leaf, "HEAD_DROPOUT", 0.0) == 0.25
    assert plugins.declared(leaf, "AUXILIARY") is None
    leaf.HEAD_DROPOUT = 0.5  # its own goes before that of its module
    assert plugins.declared(leaf, "HEAD_DROPOUT") == 0.5
    del leaf.HEAD_DROPOUT


def test_object_is_its_own_leaf():
    def features(image, scalars, block):
        return image

    assert plugins.load("architectures", features) is features
    with pytest.raises(ConfigError, match="not callable"):
        plugins.load("architectures", 3)


def test_installed_module(tmp_path, monkeypatch):
    write(tmp_path, NET, "installed_net.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="not trusted"):
        plugins.load("architectures", "installed_net:features")
    assert "installed_net" not in sys.modules
    leaf = plugins.load("architectures", "installed_net:features", trusted=True)
    assert plugins.reference("architectures", leaf) == "installed_net:features"
    # From now on a saved model may name it.
    assert plugins.load("architectures", "installed_net:features") is leaf


@pytest.mark.parametrize("value", ["entry_net", "entry_net:features"])
def test_entry_point_is_found_by_its_name(tmp_path, monkeypatch, entry_point, value):
    write(tmp_path, NET, "entry_net.py")
    monkeypatch.syspath_prepend(tmp_path)
    entry_point("architectures", "fancy", value)
    assert plugins.names("architectures")[-1] == "fancy"
    plugins.check("architectures", "fancy")
    leaf = plugins.load("architectures", "fancy")
    assert leaf.__name__ == "features"
    assert plugins.reference("architectures", leaf) == "fancy"
    assert "fancy" not in plugins.names("tasks")


def test_entry_point_does_not_hide_an_own_leaf(entry_point):
    entry_point("architectures", "lenet", "os:system")
    assert plugins.load("architectures", "lenet").__module__.endswith("architectures.lenet")
    assert plugins.names("architectures").count("lenet") == 1


def test_broken_entry_point(entry_point):
    entry_point("tasks", "gone", "no_such_module:task")
    with pytest.raises(ConfigError, match=r"(?s)entry point gone.*ModuleNotFoundError"):
        plugins.load("tasks", "gone")


@pytest.mark.parametrize(
    ("text", "attribute", "message"),
    [
        (NET, "feature", "did you mean 'features'"),
        (NET, "width", r"(?s)not callable.*received: int"),
        ("def f(:", "features", "SyntaxError"),
        ("import no_such_module", "features", r"(?s)ModuleNotFoundError.*one file"),
        ("1 / 0", "features", "ZeroDivisionError"),
        ("", "features", "it is empty"),
    ],
)
def test_file_that_does_not_hold_the_leaf(tmp_path, text, attribute, message):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message):
        plugins.load("architectures", f"{path}:{attribute}", trusted=True)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        ("absent.py:features", "The file 'absent.py' does not exist"),
        ("absent.py", "The file 'absent.py' does not exist"),
        ("my_net.py:", "malformed"),
        (":features", "malformed"),
        ("my_net.py:a.b", "malformed"),
        ("my_net.py:__import__('os')", "malformed"),
    ],
)
def test_reference_that_leads_nowhere(net, leaf, message):
    for look in (plugins.load, plugins.check):
        with pytest.raises(ConfigError, match=message):
            look("architectures", leaf, net.parent)


def test_file_runs_only_once_it_is_trusted(tmp_path, cache):
    mark = tmp_path / "it_ran"
    path = write(
        tmp_path, f"from pathlib import Path\nPath({str(mark)!r}).touch()\ndef features(*_): ..."
    )
    leaf = f"{path}:features"
    with pytest.raises(ConfigError, match=r"(?s)not trusted.*" + path + ".*--plugin " + leaf):
        plugins.load("architectures", leaf)
    plugins.check("architectures", leaf)
    assert not mark.exists()
    plugins.trust(leaf)
    assert not mark.exists()
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert [p.name for p in (cache / "astrocnn" / "trusted").iterdir()] == [digest]
    plugins.load("architectures", leaf)
    assert mark.exists()


def test_trust_outlives_the_process_and_ends_with_a_change(net, monkeypatch):
    plugins.trust(f"{net}:features")
    monkeypatch.setattr(plugins, "_trusted", set())
    old = plugins.load("architectures", f"{net}:features")
    net.write_text(NET.replace("0.25", "0.75"))
    with pytest.raises(ConfigError, match="not trusted"):
        plugins.load("architectures", f"{net}:features")
    new = plugins.load("architectures", f"{net}:features", trusted=True)
    assert plugins.declared(new, "HEAD_DROPOUT") == 0.75
    assert plugins.declared(old, "HEAD_DROPOUT") == 0.25
    assert plugins.reference("architectures", old) != plugins.reference("architectures", new)


def test_trust_without_a_cache_folder_lasts_as_long_as_the_process(net, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    assert plugins.load("architectures", str(net), trusted=True)
    assert plugins.load("architectures", str(net))
    monkeypatch.setattr(plugins, "_trusted", set())
    with pytest.raises(ConfigError, match="not trusted"):
        plugins.load("architectures", str(net))


@pytest.mark.parametrize("leaf", ["os:system", "subprocess:run", "astrocnn.atomic:write_text"])
def test_nothing_is_reached_that_the_user_did_not_name(leaf):
    for kind in plugins.KINDS:
        with pytest.raises(ConfigError, match="not trusted"):
            plugins.load(kind, leaf)


def test_huge_file_is_not_read(tmp_path):
    path = write(tmp_path, "#" * (2**22 + 1))
    with pytest.raises(ConfigError, match="too large"):
        plugins.load("architectures", path, trusted=True)


def test_copy_is_found_by_its_reference(net, tmp_path):
    leaf = plugins.load("architectures", str(net), trusted=True)
    text = plugins.reference("architectures", leaf)
    digest = hashlib.sha256(NET.encode()).hexdigest()[:12]
    assert text == f"leaves/my_net-{digest}.py:features"
    plugins.copy_files(tmp_path / "saved", [leaf, plugins.load("tasks", "photoz")])
    assert [p.read_text() for p in (tmp_path / "saved" / "leaves").iterdir()] == [NET]
    net.unlink()
    found = plugins.load("architectures", text, tmp_path / "saved")
    assert found is leaf
    # A copy of the copy has the same name.
    plugins.copy_files(tmp_path / "again", [found])
    assert plugins.load("architectures", text, tmp_path / "again") is leaf


def test_classes_of_a_file_are_ordinary_classes(tmp_path):
    path = write(
        tmp_path,
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Leaf:\n    a: int = 2\n",
    )
    kind = plugins.load("families", path, trusted=True)
    assert dataclasses.asdict(kind(3)) == {"a": 3}
    assert plugins.reference("families", kind).endswith(".py:Leaf")


def test_a_leaf_of_a_notebook_is_not_saved_and_can_be_defined_again(tmp_path, monkeypatch):
    def features(image, scalars, block):
        return image

    monkeypatch.setattr(plugins, "_trusted", set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    features.__module__, features.__qualname__ = "__main__", "features"
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "features", features, raising=False)
    with pytest.warns(AstrocnnWarning, match="'features' is defined in a notebook or script"):
        plugins.copy_files(tmp_path, [features])
    saved = plugins.reference("architectures", features)
    assert saved == "__main__:features"
    with pytest.raises(ConfigError, match="define it again, and then call"):
        plugins.load("architectures", saved)
    plugins.trust(saved)
    assert plugins.load("architectures", saved) is features
