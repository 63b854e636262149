"""Lookup of leaves (architectures, distributions, tasks, ...) by name, built in or external.

A leaf is one file.  It is found among the modules of its kind in this package, among installed
entry points (group ``astrocnn.architectures`` and alike), as ``module:attribute`` or
``path/to/file.py:attribute``, or it is the callable, class or object itself.  What a leaf declares
beside its function stands next to it in its module, or is an attribute of it: see `declared`.

**Trust.**  A file that somebody else wrote must not run because a saved run or model names it.  A
file leaf is imported only if the SHA-256 of its content is known as trusted on this machine, an
installed module only if its reference is.  `trust` records both in the cache folder; it is called
for what a user names: in a run file, in Python, or with ``--plugin``.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import itertools
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from astrocnn.atomic import cache_folder, write_bytes, write_text
from astrocnn.errors import AstrocnnWarning, ConfigError

__all__ = [
    "COPIES",
    "KINDS",
    "Kind",
    "check",
    "copy_files",
    "declared",
    "folder",
    "is_outside",
    "lazy",
    "load",
    "load_module",
    "module_names",
    "names",
    "nearest",
    "portable",
    "reference",
    "resolve",
    "short_name",
    "split_reference",
    "trust",
]

COPIES = "leaves"
"""Folder of a saved run or model that holds copies of the files it needs."""

_CLASS = "<class>"
_FILE_MODULE = "astrocnn_leaf_"
_LARGEST_FILE = 2**22
_trusted: set[str] = set()


class Kind(NamedTuple):
    """A kind of leaf."""

    noun: str
    package: str | None = None
    """Package whose modules are leaves of this kind."""
    attribute: str | None = None
    """What such a module offers; None where the module itself is the leaf."""


KINDS: dict[str, Kind] = {
    "architectures": Kind("architecture", "astrocnn.models.architectures", "features"),
    "families": Kind("family", "astrocnn.targets.families", _CLASS),
    "tasks": Kind("task", "astrocnn.targets.tasks", "task"),
    "augmentations": Kind("augmentation", "astrocnn.datasets.augmentations", _CLASS),
    "pretraining": Kind("pretraining method", "astrocnn.pretraining.methods", "loss"),
    "explain": Kind("explanation method", "astrocnn.explain.methods", "METHOD"),
    "sources": Kind("image source", "astrocnn.imaging.sources", "source"),
}
"""All kinds; the entry points of a kind are in the group ``astrocnn.<kind>``."""


def names(kind: str) -> tuple[str, ...]:
    """Names of the leaves of a kind: the package's own, then installed ones.

    Nothing is imported.
    """
    package = KINDS[kind].package
    own = module_names(package) if package else ()
    return (*own, *sorted({point.name for point in _entry_points(kind)} - set(own)))


def load(kind: str, leaf: Any, root: str | Path | None = None, *, trusted: bool = False) -> Any:
    """Import a leaf.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    leaf : str or object
        A name, ``module:attribute``, ``path/to/file.py:attribute``, or the leaf itself, which is
        returned as it is.  The attribute may be left out where a module of the kind offers one of
        a fixed name.
    root : path-like, optional
        The folder from which a relative path counts; by default the current one.
    trusted : bool
        Whether the user named it here and now, so that it may be imported.

    Raises
    ------
    ConfigError
        If there is no such leaf, it cannot be imported or called, or it is not trusted.
    """
    if not isinstance(leaf, str):
        return _callable(kind, leaf, repr(leaf))
    if not is_outside(leaf):
        return _named(kind, leaf)
    if trusted:
        trust(leaf, root)
    place, attribute = split_reference(leaf)
    if place.endswith(".py"):
        module = _imported_copy(place, root) or _import_file(kind, _file(place, root), leaf)
    else:
        module = _import_installed(kind, place, leaf)
    return _callable(kind, _attribute(kind, module, attribute, place), leaf)


def check(kind: str, leaf: str, root: str | Path | None = None) -> None:
    """Raise for an unknown leaf or a missing file, without importing anything.

    Raises
    ------
    ConfigError
        With the nearest name, or the path.
    """
    if is_outside(leaf):
        place, _ = split_reference(leaf)
        if place.endswith(".py"):
            _file(place, root)
    elif leaf not in names(kind):
        raise _unknown(kind, leaf)


def trust(leaf: str, root: str | Path | None = None) -> None:
    """Allow an external leaf to be imported on this machine, now and later.

    A file is trusted by its content: once it changes it is another one.

    Raises
    ------
    ConfigError
        If the file does not exist.
    """
    if not is_outside(leaf):
        return
    place, _ = split_reference(leaf)
    if place.endswith(".py"):
        path = _file(place, root)
        key, text = hashlib.sha256(_read(path)).hexdigest(), str(path)
    else:
        key, text = hashlib.sha256(leaf.encode()).hexdigest(), leaf
    if not _is_trusted(key):
        _trusted.add(key)
        try:
            write_text(_trust_file(key), f"{text}\n")
        except OSError:
            return  # without a cache folder it is trusted by this process only


def resolve(leaf: str, root: str | Path | None = None) -> str:
    """Make a reference independent of the current folder; other texts are unchanged."""
    place, colon, attribute = (leaf, "", "") if leaf.endswith(".py") else leaf.rpartition(":")
    if not place.endswith(".py"):
        return leaf
    return f"{Path(root or '.', Path(place).expanduser()).resolve()}{colon}{attribute}"


def portable(leaf: str) -> tuple[str, bytes | None]:
    """The reference to the copy of a file in a saved run, and its content; nothing is imported.

    Raises
    ------
    ConfigError
        If the file does not exist.
    """
    if not is_outside(leaf):
        return leaf, None
    place, attribute = split_reference(leaf)
    if not place.endswith(".py"):
        return leaf, None
    content = _read(_file(place, None))
    digest = hashlib.sha256(content).hexdigest()[:12]
    name = f"{COPIES}/{Path(place).stem.removesuffix(f'-{digest}')}-{digest}.py"
    return f"{name}:{attribute}" if attribute else name, content


def reference(kind: str, leaf: Any) -> str:
    """Reference with which `load` loads a leaf.

    A leaf of a file becomes a path below the folder `COPIES`, which names the content as well: see
    `copy_files`.
    """
    own = KINDS[kind].package
    module_name = leaf.__name__ if isinstance(leaf, ModuleType) else _module_name(leaf)
    package, _, name = module_name.rpartition(".")
    if own and package == own:
        return name
    attribute = _name_in_module(leaf, module_name)
    if module_name.startswith(_FILE_MODULE):
        file = f"{COPIES}/{_copy_name(sys.modules[module_name])}"
        return f"{file}:{attribute}" if attribute else file
    text = f"{module_name}:{attribute}" if attribute else module_name
    for point in _entry_points(kind):
        if text in (point.value, f"{point.value}:{KINDS[kind].attribute}"):
            return point.name
    return text


def short_name(kind: str, leaf: Any) -> str:
    """Name of a leaf in tables and networks: that of its file or attribute alone."""
    text = reference(kind, leaf)
    if text.startswith(f"{COPIES}/"):
        return Path(text.partition(":")[0]).stem.rpartition("-")[0]
    # TensorFlow refuses the "<locals>." of a function that another one made.
    return text.rpartition(":")[2].rpartition(".")[2].strip("<>")


def copy_files(folder: str | Path, leaves: Iterable[Any]) -> None:
    """Copy the files of leaves into a saved run or model, where `reference` says they are.

    One that a notebook or a script defines has no file; a warning says so.
    """
    for leaf in leaves:
        name = leaf.__name__ if isinstance(leaf, ModuleType) else _module_name(leaf)
        if name == "__main__":
            warnings.warn(
                f"'{_name_in_module(leaf, name)}' is defined in a notebook or script and is not "
                "saved with the model. Keep it in a file, and name it as 'my_file.py:name'.",
                AstrocnnWarning,
                stacklevel=3,
            )
        if name.startswith(_FILE_MODULE):
            module = sys.modules[name]
            write_bytes(Path(folder) / COPIES / _copy_name(module), module.__content__)


def declared(leaf: Any, name: str, default: Any = None) -> Any:
    """Attribute declared by a leaf or by the module that defines it."""
    missing = object()
    value = getattr(leaf, name, missing)
    module = _module_name(leaf)
    if value is missing and module != "__main__":
        value = getattr(sys.modules.get(module), name, missing)
    return default if value is missing else value


def is_outside(leaf: str) -> bool:
    """Whether a text names a file or an installed module in place of a leaf by name."""
    return ":" in leaf or leaf.endswith(".py")


def split_reference(leaf: str) -> tuple[str, str | None]:
    """The file or module of a leaf from outside, and the attribute, if one is named.

    Raises
    ------
    ConfigError
        If the text is neither.
    """
    if leaf.endswith(".py"):
        return leaf, None
    place, _, attribute = leaf.rpartition(":")
    if not place or not attribute.isidentifier():
        raise ConfigError(
            "A reference to a leaf outside of astrocnn is malformed.",
            received=leaf,
            allowed="module:attribute, or path/to/file.py:attribute",
        )
    return place, attribute


def _named(kind: str, name: str) -> Any:
    own = KINDS[kind].package
    if own and name in module_names(own):
        return _attribute(kind, importlib.import_module(f"{own}.{name}"), None, name)
    for point in _entry_points(kind):
        if point.name == name:
            try:
                component = point.load()
            except Exception as error:
                raise _broken(kind, f"the entry point {name} = {point.value}", error) from error
            if isinstance(component, ModuleType):
                component = _attribute(kind, component, None, point.value)
            return _callable(kind, component, point.value)
    raise _unknown(kind, name)


def _unknown(kind: str, name: str) -> ConfigError:
    known = names(kind)
    return ConfigError(
        f"There is no {KINDS[kind].noun} '{name}'.",
        # All of them, however many there are: this is where a user looks for a name.
        allowed=f"{', '.join(known)}, module:attribute, path/to/file.py:attribute",
        hint=nearest(name, known),
    )


def _broken(kind: str, place: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"The {KINDS[kind].noun} cannot be imported from {place}.",
        received=f"{type(error).__name__}: {error}",
        hint="a leaf is one file: it imports installed packages only"
        if isinstance(error, ImportError)
        else None,
    )


def _entry_points(kind: str) -> list[metadata.EntryPoint]:
    points = _installed(f"astrocnn.{kind}", *sys.path)
    return sorted(points, key=lambda p: (p.name, p.value))


@functools.cache
def _installed(group: str, *_folders: str) -> Iterable[metadata.EntryPoint]:
    # Kept, since it looks through every package installed in the folders, which takes 50 ms.
    return metadata.entry_points(group=group)


def _attribute(kind: str, module: ModuleType, attribute: str | None, place: str) -> Any:
    """Get an attribute of a module: the named one, or the one of its kind."""
    named = attribute or KINDS[kind].attribute
    if named is None:
        return module
    if named == _CLASS:
        stem = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
        named = "".join(part.capitalize() for part in stem.split("_"))
    try:
        return getattr(module, named)
    except AttributeError:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise ConfigError(
            f"There is no '{named}' in {place}.",
            allowed=public or "nothing: it is empty",
            hint=nearest(named, public),
        ) from None


def _callable(kind: str, leaf: Any, received: str) -> Any:
    if KINDS[kind].attribute is not None and not callable(leaf):
        raise ConfigError(
            f"The {KINDS[kind].noun} '{received}' is not callable.",
            received=type(leaf).__name__,
            allowed="a function or a class",
        )
    return leaf


def _file(place: str, root: str | Path | None) -> Path:
    path = Path(root or ".", Path(place).expanduser())
    if not path.is_file():
        raise ConfigError(
            f"The file '{place}' does not exist.",
            received=str(path),
            hint=None if Path(place).is_absolute() else "relative paths count from that folder",
        )
    return path


def _read(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST_FILE:
        raise ConfigError(f"The file '{path}' is too large for Python code.")
    return path.read_bytes()


def _imported_copy(place: str, root: str | Path | None) -> ModuleType | None:
    """The module of a copy that is not there, if this process has imported the file before."""
    stem, _, digest = Path(place).stem.rpartition("-")
    absent = not Path(root or ".", place).exists()
    return sys.modules.get(f"{_FILE_MODULE}{digest}_{stem}") if absent else None


def _import_file(kind: str, path: Path, leaf: str) -> ModuleType:
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if not _is_trusted(digest):
        _, attribute = split_reference(leaf)
        raise ConfigError(
            f"The {KINDS[kind].noun} is a file of Python code that is not trusted on this machine.",
            received=str(path),
            hint="read it; if you trust it, add --plugin "
            + (f"{path}:{attribute}" if attribute else str(path)),
        )
    stem = path.stem.removesuffix(f"-{digest[:12]}")
    name = f"{_FILE_MODULE}{digest[:12]}_{stem}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = str(path)
        module.__dict__["__content__"] = content
        # Dataclasses and pickle look up the module of a class there.
        sys.modules[name] = module
        try:
            # The bytes that were trusted are the bytes that run: the file is not read again.
            exec(compile(content, str(path), "exec"), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            raise _broken(kind, str(path), error) from error
    return sys.modules[name]


def _import_installed(kind: str, place: str, leaf: str) -> ModuleType:
    if not _is_trusted(hashlib.sha256(leaf.encode()).hexdigest()):
        raise ConfigError(
            f"The {KINDS[kind].noun} is Python code that is not trusted on this machine.",
            received=leaf,
            hint=f"it was defined in a notebook or script: define it again, and then call "
            f"astrocnn.plugins.trust({leaf!r})"
            if place == "__main__"
            else f"if you trust it, add --plugin {leaf}",
        )
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise _broken(kind, f"the module '{place}'", error) from error


def _is_trusted(key: str) -> bool:
    return key in _trusted or _trust_file(key).is_file()


def _trust_file(key: str) -> Path:
    return cache_folder() / "trusted" / key


def _module_name(leaf: Any) -> str:
    return str(getattr(leaf, "__module__", None) or type(leaf).__module__)


def _name_in_module(leaf: Any, module: str) -> str | None:
    """Name of a leaf in its module; None for the module itself."""
    if isinstance(leaf, ModuleType):
        return None
    attributes = vars(sys.modules[module]).items() if module in sys.modules else ()
    names = [name for name, value in attributes if value is leaf]
    own: str = getattr(leaf, "__qualname__", type(leaf).__qualname__)
    return names[0] if names and own not in names else own


def _copy_name(module: ModuleType) -> str:
    digest, _, stem = module.__name__.removeprefix(_FILE_MODULE).partition("_")
    return f"{stem}-{digest}.py"


def folder(package: str) -> Path:
    """Folder of the modules of a package of this project."""
    return Path(__file__).parent.joinpath(*package.split(".")[1:])


def module_names(package: str) -> tuple[str, ...]:
    """Names of the modules of a package of this project, sorted.

    Without folders, the module ``base`` and names that begin with an underscore.  Nothing is
    imported.
    """
    names = (m.name for m in pkgutil.iter_modules([str(folder(package))]) if not m.ispkg)
    return tuple(sorted(n for n in names if n != "base" and not n.startswith("_")))


def load_module(package: str, name: str) -> ModuleType:
    """Import a module of a package of this project by name.

    Raises
    ------
    ConfigError
        If there is no such module; the message holds the nearest known name.
    """
    known = module_names(package)
    if name not in known:
        kind = package.rpartition(".")[2]
        raise ConfigError(
            f"There is no '{name}' among the {kind}.",
            allowed=known,
            hint=nearest(name, known),
        )
    return importlib.import_module(f"{package}.{name}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The hint "did you mean ...?" for a misspelt name, or None if no name is similar."""
    by_lower = {str(k).lower(): str(k) for k in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean '{by_lower[close[0]]}'?" if close else None


def nearest_file(path: str | os.PathLike[str]) -> str | None:
    """The hint for a missing file: a similar name in its folder, or that there is no such folder.

    >>> nearest_file("/no such folder/catalog.fits")
    'there is no folder /no such folder'
    """
    if "://" in str(path):
        return None
    folder, name = os.path.split(os.path.abspath(path))
    try:
        # A folder of stamps may hold millions of files.
        names = [entry.name for entry in itertools.islice(os.scandir(folder), 2000)]
    except FileNotFoundError:
        return f"there is no folder {folder}"
    except OSError:
        return None
    # A file of another kind is meant only if its name is nearly the same.
    suffix = os.path.splitext(name)[1].lower()
    same = [n for n in names if not suffix or n.lower().endswith(suffix)]
    alike = difflib.get_close_matches(name.lower(), [n.lower() for n in names], cutoff=0.8)
    return nearest(name, same) or nearest(name, [n for n in names if n.lower() in alike])


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose public names are imported when first used.

    Parameters
    ----------
    package : str
        Its name.
    homes : mapping of str to str
        Module of the package that each name lives in.
    """

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return getattribute
