"""Networks of other runs that a run file names: where they are, and whether they may be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from astrocnn.errors import ConfigError
from astrocnn.imaging.files import expand_path
from astrocnn.runs.config import NETWORK, RunConfig
from astrocnn.runs.directory import RunDirectory

if TYPE_CHECKING:
    from astrocnn.estimators import Estimator

__all__ = ["check_runs", "features_from", "start_of"]


def features_from(config: RunConfig, name: str) -> str | Estimator | tuple[Estimator, str]:
    """A family of features, or the network of another run that learned from the same split,
    with the name of a layer if one is meant.
    """
    if not name.startswith(NETWORK):
        return name
    folder, layer = _run_and_layer(name)
    network = _network_in(_trained_run(config, folder, "model.features"))
    return (network, layer) if layer else network


def _run_and_layer(name: str) -> tuple[str, str]:
    """The folder and the layer, if one is meant, of ``cnn:DIR#LAYER``."""
    folder, _, layer = name.removeprefix(NETWORK).partition("#")
    return folder, layer


def start_of(config: RunConfig) -> Estimator | None:
    """The trained network with whose weights a run begins; None when it begins at random.

    Raises
    ------
    ConfigError
        If there is none, or if objects of this test may have taught it.
    """
    if config.transfer is None:
        return None
    from astrocnn.estimators.base import ABOUT, load_estimator

    folder = Path(expand_path(config.transfer.start, config.root))
    if (folder / ABOUT).is_file():
        return load_estimator(folder)
    return _network_in(_trained_run(config, config.transfer.start, "transfer.start"))


def check_runs(config: RunConfig) -> None:
    """Refuse trained networks that are not where the run file says, or were taught by objects of
    this test: all at once, without a look into the networks.

    Raises
    ------
    ConfigError
        With the folders that were looked at.
    """
    from astrocnn.estimators.base import ABOUT

    wanted = [
        ("model.features", _run_and_layer(name)[0])
        for name in config.model.features
        if name.startswith(NETWORK)
    ]
    if config.transfer is not None:
        start = config.transfer.start
        if not (Path(expand_path(start, config.root)) / ABOUT).is_file():
            wanted.append(("transfer.start", start))
    wrong = []
    for place, folder in wanted:
        try:
            _trained_run(config, folder, place)
        except ConfigError as error:
            wrong.append(error)
    if len(wrong) > 1:
        raise ConfigError("\n".join(map(str, wrong)))
    if wrong:
        raise wrong[0]


def _trained_run(config: RunConfig, folder: str, place: str) -> RunDirectory:
    """The run directory that a run file names, with a network that knows no object of this test."""
    path = Path(expand_path(folder, config.root))
    home = RunDirectory(path)
    for file, lacks in ((home.config_file, "no config.toml"), (home.model, "no trained model")):
        if not file.exists():
            there = f"it holds {lacks}" if path.is_dir() else "there is no such folder"
            raise ConfigError(
                f"{place}: '{folder}' is not the directory of a trained run; {there}.",
                received=str(path),
                hint=None
                if Path(folder).is_absolute()
                else f"paths in a run file count from its own folder, {config.root}",
            )
    _check_split(config, home, elsewhere=place == "transfer.start")
    return home


def _network_in(home: RunDirectory) -> Estimator:
    from astrocnn.estimators import load_estimator

    return load_estimator(home.require(home.model, "train"))


def _check_split(config: RunConfig, home: RunDirectory, *, elsewhere: bool = False) -> None:
    """Refuse a network that may have learned from objects that test this run.

    With `elsewhere` one of another catalogue is fine.
    """
    other = home.config()
    files = [expand_path(c.catalog.file, c.root) for c in (config, other)]
    alike = Path(files[0]).resolve() == Path(files[1]).resolve()
    if (alike and config.split != other.split) or not (alike or elsewhere):
        raise ConfigError(
            f"The network of '{home.path}' learned from another split: objects of this test may "
            "have taught it.",
            received=f"{other.split} of {files[1]}",
            allowed=f"{config.split} of {files[0]}",
        )
