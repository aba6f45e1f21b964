"""Other people's readers open a run with one line, and see its rows and nothing else."""

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from pycocotools import mask as coco

from ipseg.objects import Object
from pipeline.runfolder.parts import read_rows

READERS = {
    "pandas": lambda folder, _: pd.read_parquet(folder).to_dict("records"),
    "polars": lambda folder, _: pl.read_parquet(f"{folder}/**/*.parquet").to_dicts(),
    "duckdb": lambda folder, _: duckdb.sql(f"from '{folder}/**/*.parquet'").df().to_dict("records"),
    "datasets": lambda folder, cache: list(
        datasets.load_dataset(folder, cache_dir=cache, split="train")
    ),
}


@pytest.fixture(scope="module")
def read_by_ipseg():
    return lambda out: {row["key"]: row for row in read_rows(out)}


@pytest.mark.filterwarnings("ignore")  # of the readers' own
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_rows_and_masks_are_those_of_the_run(painted, tmp_path, read, read_by_ipseg):
    (painted.root / "images" / "broken.png").write_bytes(b"no image")
    out = painted.segment("run", "runtime.part_rows=2")[0].out
    rows = {row["key"]: row for row in read(f"{out}/data", str(tmp_path / "cache"))}
    expected = read_by_ipseg(out)
    assert set(rows) == set(expected)
    for key, row in expected.items():
        assert rows[key]["row_status"] == row["row_status"]
        found = list(rows[key]["objects"])
        assert [each["concept"] for each in found] == [each["concept"] for each in row["objects"]]
        for mine, theirs in zip(found, row["objects"], strict=True):
            size = [int(n) for n in mine["segmentation"]["size"]]
            pixels = coco.decode({"size": size, "counts": mine["segmentation"]["counts"]})
            assert np.array_equal(pixels, Object.from_record(theirs).mask)
            assert pixels.sum() == mine["area"]
