"""Trained runs that a run file refers to: lookup and validation."""

from __future__ import annotations

from pathlib import Path

from astrocnn import estimators
from astrocnn.errors import ConfigError
from astrocnn.estimators.base import ABOUT
from astrocnn.imaging.files import expand_path
from astrocnn.runs.directory import RunDirectory
from astrocnn.runs.sections import NETWORK, RunConfig

__all__ = ["check_runs", "load_features", "load_start"]


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


def load_start(config: RunConfig) -> estimators.Estimator | None:
    """Load the trained network that initializes a run; None for random weights.

    Raises
    ------
    ConfigError
        If there is none, or if it was trained on objects that are tested here.
    """
    if config.transfer is None:
        return None
    folder = Path(expand_path(config.transfer.start, config.root))
    if (folder / ABOUT).is_file():
        return estimators.load_estimator(folder)
    return _load_model(_find_run(config, config.transfer.start, "transfer.start"))


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
    if config.transfer is not None:
        start = config.transfer.start
        if not (Path(expand_path(start, config.root)) / ABOUT).is_file():
            required.append(("transfer.start", start))
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
    _check_split(config, home, elsewhere=place == "transfer.start")
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
