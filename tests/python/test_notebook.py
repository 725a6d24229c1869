# SPDX-License-Identifier: Apache-2.0
"""examples/python_notebook.ipynb from the first cell to the last: with nbclient where it and a kernel are
installed, else its code in order."""

import json
import sys
from pathlib import Path

import pytest

from detente import _program

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples/python_notebook.ipynb"


@pytest.fixture(scope="module", autouse=True)
def the_program():
    try:
        _program.program()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def code_cells():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in code_cells():
        exec(compile(cell, "cell", "exec"), names)
    (_, fought), (losses, _) = names["results"]["ew"], names["results"]["upgrad"]
    assert fought > 0.5 and sum(losses.values()) < 0.5 * sum(
        x.square().mean().item() for x in names["targets"].values()
    )
    assert names["run"]._repr_html_().startswith("<iframe")
    assert "in conflict: " in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
def test_in_jupyter(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    manager = nbclient.client.KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    nbclient.NotebookClient(
        notebook, km=manager, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    assert "iframe" in shown[-1]["text/html"]


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
