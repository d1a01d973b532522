"""The notebook of the examples runs from top to bottom and draws its plots."""

import asyncio
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

from rag.store.database import Database

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples/review.ipynb"


@pytest.mark.slow
def test_notebook_draws_its_plots_from_the_views(
    database: Database, review_log: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    review_log.fill(database)
    monkeypatch.setenv("RAG_DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    asyncio.run(client.async_execute())
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "5 8 Which class do we travel in? -> 28 days" in printed


def test_notebook_is_kept_without_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < 10_000
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
