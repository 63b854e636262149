"""The notebooks are kept without outputs, and run from the first cell to the last."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpec

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_notebooks_are_numbered_from_one() -> None:
    assert NOTEBOOKS
    numbers = [int(path.stem.split("_")[0]) for path in NOTEBOOKS]
    assert numbers == list(range(1, len(NOTEBOOKS) + 1))


@each_notebook
def test_notebooks_are_stripped(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata.language_info) == {"name"}
    for cell in notebook.cells:
        assert not cell.metadata
        assert cell.source.strip()
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    assert notebook.cells[0].source.startswith("# "), "a notebook begins with its title"


class ThisPython(KernelManager):
    """Not the kernel that may be registered as "python3" on the machine: that is another Python."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="this Python",
            language="python",
        )


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingKernelClient]:
    """One for all notebooks: TensorFlow is imported once, with this interpreter and checkout."""
    folder = tmp_path_factory.mktemp("kernel")
    manager = ThisPython()
    environment = {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
    manager.start_kernel(cwd=str(folder), env={**os.environ, **environment})
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    run_cell(client, "import gc\ngc.set_threshold(10_000)")  # as `tests.conftest`
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run_cell(client: BlockingKernelClient, source: str) -> list[dict[str, Any]]:
    """What a cell prints and shows."""
    messages: list[dict[str, Any]] = []
    reply = client.execute_interactive(
        source, output_hook=messages.append, allow_stdin=False, timeout=300
    )["content"]
    assert reply["status"] == "ok", "\n".join(reply["traceback"])
    return [message["content"] for message in messages]


@pytest.mark.slow
@each_notebook
def test_notebooks_run(path: Path, tmp_path: Path, kernel: BlockingKernelClient) -> None:
    """Without the names of other notebooks, in a folder that is empty again at the end."""
    folder = tmp_path / "work"
    folder.mkdir()
    run_cell(kernel, f"%reset -f\n%cd -q {folder}")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in run_cell(kernel, cell.source)]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    said = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert not said, "a reader would see warnings:\n" + "".join(said)
    assert not list(folder.iterdir())
