"""Keras on TensorFlow: loaded when first used, set up the same on every machine.

``from astrocnn.backend import keras, ops, tf`` costs nothing until one of them is used.  The
user's ``KERAS_BACKEND``, ``floatx`` and ``image_data_format`` (environment or ``keras.json``) do
not leak in: training, feeding and gradients are TensorFlow's, images are channels-last float32.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import sys
import tempfile
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from astrocnn.errors import AstrocnnError

__all__ = ["get_versions", "keras", "layers", "load_tensorflow", "ops", "tf"]

if "keras" not in sys.modules:
    os.environ["KERAS_BACKEND"] = "tensorflow"


class _LazyModule(ModuleType):
    """A module that is imported when one of its attributes is first used."""

    def __getattr__(self, name: str) -> Any:
        # Inspection (doctest, copy) asks for dunders of whatever it meets: no reason to load.
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        load_tensorflow()
        value = getattr(importlib.import_module(self.__name__), name)
        # The next use is an ordinary attribute: building a network takes thousands of them.
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import keras as keras
    import tensorflow as tf
    from keras import layers as layers
    from keras import ops as ops

    Tensor: TypeAlias = keras.KerasTensor | tf.Tensor
else:
    Tensor = Any
    keras = _LazyModule("keras")
    layers = _LazyModule("keras.layers")
    ops = _LazyModule("keras.ops")
    tf = _LazyModule("tensorflow")


@functools.cache
def load_tensorflow() -> None:
    """Import TensorFlow and Keras, without the lines they print while loading.

    Raises
    ------
    AstrocnnError
        If Keras was imported before with another backend: it cannot be changed in a process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    # The lines come from C++ before logging levels apply: only redirecting the file descriptor
    # suppresses them. They are shown if the import fails.
    stderr_copy = os.dup(2)
    # Of the half million objects that are made here none is garbage: a sixth of the time.
    collecting = gc.isenabled()
    gc.disable()
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            importlib.import_module("keras")
            importlib.import_module("tensorflow")
        except Exception:
            os.dup2(stderr_copy, 2)
            printed.seek(0)
            sys.stderr.write(printed.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(stderr_copy, 2)
            os.close(stderr_copy)
            if collecting:
                gc.enable()
    _require_tensorflow_backend()


def _require_tensorflow_backend() -> None:
    """Refuse another backend, and take back what ``keras.json`` changed."""
    config = sys.modules["keras"].config
    if config.backend() != "tensorflow":
        raise AstrocnnError(
            "astrocnn needs Keras on TensorFlow, but Keras was already imported with another "
            "backend in this process.",
            received=f"keras.config.backend() = {config.backend()!r}",
            allowed="'tensorflow'",
            hint="import astrocnn.backend before keras, or set KERAS_BACKEND=tensorflow",
        )
    if config.floatx() != "float32":
        config.set_floatx("float32")
    if config.image_data_format() != "channels_last":
        config.set_image_data_format("channels_last")


def get_versions() -> dict[str, str]:
    """Versions of TensorFlow and Keras, from the modules themselves.

    The metadata of the installed distribution would not do: TensorFlow also comes as
    ``tensorflow-cpu`` and under other names.
    """
    return {"tensorflow": tf.__version__, "keras": keras.__version__}
