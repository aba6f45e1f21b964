"""docs/notebook.ipynb runs, and what is committed of it is what it displays."""

import io
import re
from base64 import b64decode
from copy import deepcopy
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

FILE = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def displayed(notebook):
    """The one output of each cell that has any: MIME type -> data."""
    return [cell.outputs[0].data for cell in notebook.cells if cell.get("outputs")]


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(FILE, as_version=4)


@pytest.fixture(scope="module")
def executed(committed, tmp_path_factory):
    resources = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    return NotebookClient(deepcopy(committed), timeout=100, resources=resources).execute()


def test_prompts_masks_a_table_and_an_export_are_displayed(executed):
    prompts, result, numbers, several, table, overlays, export = displayed(executed)
    for image in (prompts, result, overlays):
        pixels = np.asarray(Image.open(io.BytesIO(b64decode(image["image/png"]))))
        assert pixels.std() > 20
    assert "cup" in result["text/plain"]
    assert "{'cat': " in numbers["text/plain"]
    assert "broken.jpg: failed, not an image" in several["text/plain"]
    assert table["text/html"].count("<tr") > 4
    assert "'images': 3" in export["text/plain"]


def test_what_is_committed_is_small_and_of_this_notebook(committed, executed):
    assert FILE.stat().st_size < 1_000_000
    for kept, now in zip(displayed(committed), displayed(executed), strict=True):
        assert kept.keys() == now.keys()
        if "text/html" not in kept:  # the order of its rows is that of scores, which may be near
            without_numbers = (re.sub(r"[\d.]+", "", each["text/plain"]) for each in (kept, now))
            assert next(without_numbers) == next(without_numbers)
