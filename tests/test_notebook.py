"""The notebook in examples/ is committed without outputs, and runs from beginning to end."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook with its outputs, run in a folder and with a cache of its own."""
    place = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    env = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": place}}
    )
    client.create_kernel_manager()
    client.start_new_kernel(env=env)
    with client.setup_kernel():
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
    notebook.metadata["place"] = str(place)
    return notebook


def outputs(notebook, text):
    """The outputs of the code cell that contains `text`."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source]
    return cell.outputs


def printed(notebook, text):
    return "".join(each.text for each in outputs(notebook, text) if each.output_type == "stream")


def test_it_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_it_trains_and_shows_the_run(executed):
    (shown,) = [each for each in outputs(executed, "isthmus.train(") if each.output_type == "execute_result"]
    page = shown.data["text/html"]
    assert "data:image/svg+xml" in page
    assert "data:image/png" in page
    assert len(list(Path(executed.metadata["place"]).glob("outputs/*/*/results.json"))) == 1
    assert "Epoch 20/20: 100%" in printed(executed, "isthmus.train(")
    assert 0 < float(printed(executed, 'run.results["test/mse"]')) < 0.05


def test_it_detects_noise(executed):
    digits, noise = (
        int(word.rstrip("%")) for word in printed(executed, ".detect(").split() if word.endswith("%")
    )
    assert digits < 15
    assert noise > 90


def test_it_generates(executed):
    assert any("image/png" in each.get("data", {}) for each in outputs(executed, ".generate("))


def test_it_uses_the_estimator(executed):
    assert int(printed(executed, "isthmus.Autoencoder(").split("%")[0]) > 50
