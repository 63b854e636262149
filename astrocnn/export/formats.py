"""The file formats of exported networks: how each is written, and how it is run again."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from astrocnn.backend import tf
from astrocnn.errors import MissingDependency, ModelError
from astrocnn.plugins import nearest
from astrocnn.stored_files import read_json

__all__ = ["CONFIG", "FORMATS", "ExportedNetwork", "Format", "get_format", "open_exported"]

CONFIG = "config.json"
"""File with the metadata of an exported network; ONNX and LiteRT files hold the same text."""

_OPSET = 18
_EXTRA = "export"

Arrays: TypeAlias = dict[str, NDArray[np.float32]]
Network: TypeAlias = Callable[[Mapping[str, NDArray[np.float32]]], Arrays]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
        As in ``--format``.
    file : str
        Its file in the folder; empty where it is the folder itself.
    runtime : str
        What runs it.
    write : callable
        From the folder and what `trace_network` returned.
    embed : callable
        Puts metadata, a JSON text, into a written file; from the folder and the text.
    open : callable
        From the folder to a function of arrays.
    portable : bool
        Whether the function must be traced for a small set of operations.
    """

    name: str
    file: str
    runtime: str
    write: Callable[[Path, Any], None]
    embed: Callable[[Path, str], None]
    open: Callable[[Path], Network]
    portable: bool = False


class _Config(BaseModel):
    model_config = ConfigDict(extra="allow")
    format: Literal["onnx", "saved_model", "litert"]
    inputs: dict[str, Any]
    outputs: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ExportedNetwork:
    """An exported network, run by the library of its format.

    Attributes
    ----------
    config : dict
        The metadata: names, units, classes, and the result of the parity check.
    """

    config: dict[str, Any]
    _run: Network

    def predict(
        self, images: NDArray[np.floating] | None, scalars: NDArray[np.floating] | None = None
    ) -> Arrays:
        """Activated parameters by target.

        Parameters
        ----------
        images : ndarray of shape (n, size, size, n_bands)
            Linear fluxes, NaN where there are no data; None for a network of scalars.
        scalars : ndarray of shape (n, n_scalars), optional
            As in the catalogue.

        Returns
        -------
        dict of str to ndarray of shape (n, units) or (n_draws, n, units)
        """
        given = {"image": images, "scalars": scalars}
        return self._run({k: np.asarray(v, np.float32) for k, v in given.items() if v is not None})


def open_exported(folder: str | os.PathLike[str]) -> ExportedNetwork:
    """Open a folder that `export_network` wrote.

    Raises
    ------
    ModelError
        If it is none, or is damaged.
    MissingDependency
        If the library that runs it is not installed.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ModelError(
            "This is not the folder of an exported network.",
            received=str(folder),
            hint="astrocnn export DIR --out FOLDER",
        )
    config: _Config = read_json(folder / CONFIG, _Config, ModelError)
    return ExportedNetwork(config.model_dump(), FORMATS[config.format].open(folder))


def get_format(name: str) -> Format:
    """The format of a name.

    Raises
    ------
    ModelError
        If there is none.
    """
    if name not in FORMATS:
        raise ModelError(
            "There is no such format of networks.",
            received=name,
            allowed=tuple(FORMATS),
            hint=nearest(name, tuple(FORMATS)),
        )
    return FORMATS[name]


# ------------------------------------------------------------------------------------------ ONNX


def _write_onnx(folder: Path, module: Any) -> None:
    try:
        import tf2onnx
    except ImportError as error:
        raise MissingDependency("tf2onnx", _EXTRA, "to write ONNX files") from error
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    traced = module.signature
    with _quiet():
        model, _ = tf2onnx.convert.from_function(
            module.predict,
            list(traced.structured_input_signature[1].values())
            or list(traced.structured_input_signature[0]),
            opset=_OPSET,
            custom_op_handlers={"SelectV2": (_select, []), "Erfc": (_erfc, [])},
        )
    _rename_outputs(model, traced)
    (folder / FORMATS["onnx"].file).write_bytes(model.SerializeToString())


def _select(context: Any, node: Any, name: str, args: Any) -> Any:
    # The converter's own is a sum of products, which pixels without data (NaN) turn into NaN.
    node.domain, node.type = "", "Where"
    return node


def _erfc(context: Any, node: Any, name: str, args: Any) -> Any:
    # ONNX has the error function only, not its complement (in GELU).
    one = context.make_const(f"{name}_one", np.float32(1.0))
    shape, kind = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    error = context.make_node("Erf", node.input, name=f"{name}_erf")
    outputs = node.output
    context.remove_node(name)
    inputs = [one.output[0], error.output[0]]
    return context.make_node(
        "Sub", inputs, outputs=outputs, name=name, shapes=[shape], dtypes=[kind]
    )


def _rename_outputs(model: Any, traced: Any) -> None:
    """Name the outputs of an ONNX model by target."""
    # The converter names them by tensors, in the order of the flat outputs.
    names = list(traced.structured_outputs)
    graph = model.graph
    new = dict(zip((o.name for o in graph.output), sorted(names), strict=True))
    taken = {x for node in graph.node for x in (*node.input, *node.output)} - set(new)
    for node in graph.node:
        if taken & set(new.values()):
            raise ModelError(
                "A target has the name of a tensor of the network.",
                received=sorted(taken & set(new.values())),
                hint="rename the target",
            )
        for ends in (node.input, node.output):
            ends[:] = [new.get(end, end) for end in ends]
    for output in graph.output:
        output.name = new[output.name]


def _embed_onnx(folder: Path, text: str) -> None:
    import onnx

    path = folder / FORMATS["onnx"].file
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"astrocnn": text})
    path.write_bytes(model.SerializeToString())


def _open_onnx(folder: Path) -> Network:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("onnxruntime", _EXTRA, "to run ONNX files") from error
    with _explain(folder):
        session = onnxruntime.InferenceSession(
            folder / FORMATS["onnx"].file, providers=["CPUExecutionProvider"]
        )
    names = [output.name for output in session.get_outputs()]
    return lambda x: dict(zip(names, session.run(names, dict(x)), strict=True))


# ------------------------------------------------------------------------------------ SavedModel


def _write_saved_model(folder: Path, module: Any) -> None:
    with _quiet():
        tf.saved_model.save(module, str(folder), signatures=module.signature)


def _embed_saved_model(folder: Path, text: str) -> None:
    # The place that TensorFlow keeps for files of others.
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "astrocnn.json").write_text(text, encoding="utf-8")


def _open_saved_model(folder: Path) -> Network:
    with _explain(folder):
        loaded = tf.saved_model.load(str(folder))
        signature = loaded.signatures["serving_default"]

    def run(x: Mapping[str, NDArray[np.float32]]) -> Arrays:
        outputs = signature(**{name: tf.constant(value) for name, value in x.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    # A signature does not keep the variables of what it was loaded from.
    run.loaded = loaded  # type: ignore[attr-defined]
    return run


# ---------------------------------------------------------------------------------------- LiteRT


def _write_litert(folder: Path, module: Any) -> None:
    try:
        with _quiet():
            content = tf.lite.TFLiteConverter.from_concrete_functions(
                [module.signature], module
            ).convert()
    except Exception as error:  # the converter has an error class of its own, and others
        missing = re.findall(r"tf\.(\w+)' op is neither|(?:Custom|Flex) ops: ([\w, ]+)", str(error))
        names = sorted({n for pair in missing for part in pair for n in part.split(", ") if n})
        raise ModelError(
            "This network cannot be written in the format LiteRT.",
            received=f"operations that LiteRT lacks: {', '.join(names)}"
            if names
            else str(error)[:300],
            hint="--format onnx or saved_model",
        ) from error
    (folder / FORMATS["litert"].file).write_bytes(content)


def _embed_litert(folder: Path, text: str) -> None:
    # The convention for associated files: a ZIP archive behind the model, which runtimes ignore.
    with zipfile.ZipFile(folder / FORMATS["litert"].file, "a") as archive:
        archive.writestr("astrocnn.json", text)


def _open_litert(folder: Path) -> Network:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingDependency("ai-edge-litert", _EXTRA, "to run LiteRT files") from error
    with _explain(folder), _quiet():
        content = (folder / FORMATS["litert"].file).read_bytes()
        runner = Interpreter(model_content=content).get_signature_runner()

    def run(x: Mapping[str, NDArray[np.float32]]) -> Arrays:
        with _quiet():
            return dict(runner(**x))

    return run


# -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _explain(folder: Path) -> Iterator[None]:
    """Raise `ModelError` in place of any error: the libraries have classes of their own."""
    try:
        yield
    except Exception as error:
        raise ModelError(
            f"The exported network in '{folder}' cannot be opened.", received=str(error)[:300]
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the libraries print by themselves; errors are raised all the same."""
    sys.stderr.flush()
    # They print from C++: only redirecting the file descriptor hides it.
    stderr = os.dup(2)
    level = logging.getLogger("tensorflow").level
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            logging.getLogger("tensorflow").setLevel(level)


FORMATS = {
    format.name: format
    for format in (
        Format("onnx", "model.onnx", "onnxruntime", _write_onnx, _embed_onnx, _open_onnx),
        Format(
            "saved_model",
            "",
            "tensorflow",
            _write_saved_model,
            _embed_saved_model,
            _open_saved_model,
        ),
        Format(
            "litert",
            "model.tflite",
            "ai-edge-litert",
            _write_litert,
            _embed_litert,
            _open_litert,
            portable=True,
        ),
    )
}
"""By name."""


def dump_config(config: Mapping[str, Any]) -> str:
    """The metadata as text."""
    return json.dumps(config, indent=1, allow_nan=False) + "\n"
