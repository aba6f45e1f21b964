"""Formats that hold the images: Parquet for `datasets`, tars for `webdataset`."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pycocotools import mask as coco

pytestmark = pytest.mark.filterwarnings("ignore")  # of the readers' own


def check(rows, labelled, masks, seen):
    """(key, image, objects) of each row: upright images, and every mask with its concept."""
    found = {key: (image, objects) for key, image, objects in rows}
    assert set(found) == set(labelled)
    for key, expected in labelled.items():
        image, objects = found[key]
        assert image.size == (128, 96)
        assert np.abs(np.array(image.convert("RGB")).astype(int) - seen[key]).mean() < 3
        assert len(objects) == len(expected)
        for (name, _, score), each in zip(expected, objects, strict=True):
            assert np.array_equal(coco.decode(each["segmentation"]), masks[name])
            assert each["area"] == masks[name].sum()
            assert each["score"] == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_decodes_images_masks_and_names(exported, labelled, masks, tmp_path, streaming):
    import datasets

    _, folder = exported("hf", split="train=0.5,val=0.5")
    files = {
        side: sorted(map(str, (folder / "data").glob(f"{side}-*")))
        for side in ("train", "validation")
    }
    assert [Path(each).name for each in files["train"]] == ["train-00000-of-00001.parquet"]
    data = datasets.load_dataset(
        "parquet", data_files=files, cache_dir=str(tmp_path), streaming=streaming
    )
    rows = [row for side in data.values() for row in side]
    check(
        [(row["key"], row["image"], row["objects"]) for row in rows],
        labelled, masks, exported.world.seen,
    )  # fmt: skip
    objects = data["train"].features["objects"]
    inner = objects.feature if hasattr(objects, "feature") else objects[0]
    assert inner["category_id"].names == ["background", "cup", "ümlaut <b>"]
    concepts = {row["key"]: [o["category_id"] for o in row["objects"]] for row in rows}
    assert concepts["v1.0/ring.v2.jpg"] == [1, 2]


def test_the_folder_loads_by_its_card(exported, labelled, tmp_path):
    import datasets

    _, folder = exported("hf", split="train=0.5,val=0.5")
    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert front["size_categories"] == ["n<1K"]
    data = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert set(data) == {"train", "validation"}
    assert sum(len(side) for side in data.values()) == len(labelled)


def test_several_files_are_numbered_and_of_one_schema(exported):
    _, folder = exported("hf", per_file=4)
    files = sorted((folder / "data").iterdir())
    assert [file.name for file in files] == [f"train-0000{n}-of-00002.parquet" for n in range(2)]
    assert pq.read_schema(files[0]).equals(pq.read_schema(files[1]), check_metadata=True)
    assert [pq.read_metadata(file).num_rows for file in files] == [4, 2]


def test_images_that_are_referred_to_keep_their_address(exported):
    done, folder = exported("hf", handling="refer")
    rows = pq.read_table(folder / "data/train-00000-of-00001.parquet").to_pylist()
    assert done.tally.left_out == 1, "the image that is stored turned"
    assert "turned.jpg" in done.tally.examples[0]
    assert all(row["image"]["bytes"] is None for row in rows)
    assert all(Path(row["image"]["path"]).exists() for row in rows)


def test_webdataset_reads_samples(exported, labelled, masks):
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    _, folder = exported("webdataset")
    data = wds.WebDataset(str(folder / "tars/train-000000.tar"), shardshuffle=False)
    samples = list(data.decode("pil"))
    check(
        [(s["json"]["key"], s["jpg"], s["json"]["objects"]) for s in samples],
        labelled, masks, exported.world.seen,
    )  # fmt: skip
    assert all("." not in sample["__key__"] for sample in samples)


def test_members_are_neighbours_and_nothing_depends_on_the_time(exported):
    _, folder = exported("webdataset")
    with tarfile.open(folder / "tars/train-000000.tar") as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert len(names) == 12
    assert [name[:9] for name in names[0::2]] == [name[:9] for name in names[1::2]]
    assert {member.mtime for member in members} == {0}
    assert json.loads((folder / "classes.json").read_text())["1"] == "cup"
