"""Trained runs that a run file refers to: lookup and validation."""

from __future__ import annotations

from pathlib import Path

from astrocnn import estimators, models, plugins
from astrocnn.errors import ConfigError
from astrocnn.estimators.base import ABOUT, read_kind
from astrocnn.imaging.files import expand_path
from astrocnn.models.architectures.base import PACKAGE, SUFFIXES
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.sections import NETWORK, RunConfig

__all__ = ["check_runs", "has_published_weights", "load_features", "load_start"]

_PLACE = "model.weights"


def load_features(
    config: RunConfig, name: str
) -> str | estimators.Estimator | tuple[estimators.Estimator, str]:
    """Load a feature family by name, or the network of another run with the same split.

    With the name of a layer, if the run file gives one.
    """
    if not name.startswith(NETWORK):
        return name
    folder, layer = _run_and_layer(name)
    network = _load_model(_find_run(config, folder, "model.features"))
    return (network, layer) if layer else network


def _run_and_layer(name: str) -> tuple[str, str]:
    """Parse ``cnn:DIR#LAYER`` into folder and layer, if any."""
    folder, _, layer = name.removeprefix(NETWORK).partition("#")
    return folder, layer


def load_start(config: RunConfig) -> estimators.Estimator | models.Pretrained | None:
    """Load what initializes the network of a run; None for random weights.

    Raises
    ------
    ConfigError
        If there is no such run, or if it was trained on objects that are tested here.
    ModelError
        If there are no such weights.
    """
    weights = config.model.weights
    if weights is None:
        return None
    if has_published_weights(config):
        assert config.model.architecture is not None
        leaf = plugins.load("architectures", config.model.architecture)
        path = expand_path(weights, config.root)
        # A name, or what was mistyped, is shown as it was given.
        return models.read_pretrained(
            path if Path(path).exists() else weights, leaf, root=config.root
        )
    folder = Path(expand_path(weights, config.root))
    if (folder / ABOUT).is_file():
        return estimators.load_estimator(folder)
    return _load_model(_find_run(config, weights, _PLACE))


def has_published_weights(config: RunConfig) -> bool:
    """Whether the initial weights are those of others, and no run of this package."""
    weights = config.model.weights
    if weights is None:
        return False
    folder = Path(expand_path(weights, config.root))
    if not folder.is_dir():
        # A path without an ending of a file is most likely a mistyped run directory.
        return "/" not in weights or folder.suffix in SUFFIXES or weights.startswith(PACKAGE)
    if (folder / ABOUT).is_file() or RunDirectory(folder).config_file.exists():
        return False
    return any(p.suffix in SUFFIXES for p in folder.iterdir() if p.is_file())


def check_runs(config: RunConfig) -> None:
    """Raise for trained runs that do not exist or were trained on test objects of this run.

    All at once; no network is loaded.

    Raises
    ------
    ConfigError
        With the folders that were looked at.
    """
    required = [
        ("model.features", _run_and_layer(name)[0])
        for name in config.model.features
        if name.startswith(NETWORK)
    ]
    start = config.model.weights
    if (
        start is not None
        and not has_published_weights(config)
        and not (Path(expand_path(start, config.root)) / ABOUT).is_file()
    ):
        required.append((_PLACE, start))
    wrong = []
    for place, folder in required:
        try:
            _find_run(config, folder, place)
        except ConfigError as error:
            wrong.append(error)
    if len(wrong) > 1:
        raise ConfigError("\n".join(map(str, wrong)))
    if wrong:
        raise wrong[0]


def _find_run(config: RunConfig, folder: str, place: str) -> RunDirectory:
    """Find the directory of a trained run with no test object of this run in its training set."""
    path = Path(expand_path(folder, config.root))
    home = RunDirectory(path)
    for file, lacks in ((home.config_file, "no config.toml"), (home.model, "no trained model")):
        if not file.exists():
            problem = f"it holds {lacks}" if path.is_dir() else "there is no such folder"
            raise ConfigError(
                f"{place}: '{folder}' is not the directory of a trained run; {problem}.",
                received=str(path),
                hint=None
                if Path(folder).is_absolute()
                else f"paths in a run file count from its own folder, {config.root}",
            )
    # Without labels, images of another catalogue tell nothing about the labels that are tested.
    unlabelled = read_kind(home.model) == estimators.Encoder.KIND
    _check_split(config, home, elsewhere=place == _PLACE or unlabelled)
    return home


def _load_model(home: RunDirectory) -> estimators.Estimator:
    return estimators.load_estimator(home.require(home.model, "train"))


def _check_split(config: RunConfig, home: RunDirectory, *, elsewhere: bool = False) -> None:
    """Raise for a run with another split: it may have trained on test objects of this run.

    With `elsewhere` one of another catalogue is allowed.
    """
    other = home.config()
    files = [[expand_path(file, c.root) for file in c.catalog.files] for c in (config, other)]
    same_file = files[0] == files[1] or [Path(f).resolve() for f in files[0]] == [
        Path(f).resolve() for f in files[1]
    ]
    if (same_file and config.split != other.split) or not (same_file or elsewhere):
        raise ConfigError(
            f"The network of '{home.path}' was trained with another split: its training set may "
            "hold objects that are tested here.",
            received=f"{other.split} of {files[1]}",
            allowed=f"{config.split} of {files[0]}",
        )
