"""The official JSON gives the same episodes as a pickle in the same order."""

import pickle

import numpy as np
import pytest
from lvis_kit import as_pickle, official, path_of, save, write
from PIL import Image

from ipseg.benchmarks.annotations import json_stream
from ipseg.benchmarks.annotations.json_stream import stream_lists
from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.lvis92i import Lvis92iBenchmark
from ipseg.errors import OutputError, SourceError


@pytest.fixture
def root(tmp_path):
    return write(tmp_path)


def test_json_and_pickle_give_the_same_episodes_except_for_names(root):
    data = official()
    save(root, data)
    assert Lvis92iBenchmark(str(root)).prepare() == [f"{root}/LVIS/lvis_val.parquet"]
    from_json = Lvis92iBenchmark(str(root))
    from_json.check()
    assert from_json.classes("4") == {5: "thing 5"}
    episodes = from_json.episodes("4", Sampling())
    assert len(episodes) == 25

    (root / "LVIS/lvis_val.pkl").write_bytes(pickle.dumps(as_pickle(data)))
    Lvis92iBenchmark(str(root)).prepare()  # takes the pickle if it exists
    from_pickle = Lvis92iBenchmark(str(root)).episodes("4", Sampling())
    assert [(e.query, e.supports) for e in from_pickle] == [(e.query, e.supports) for e in episodes]
    assert {e.class_name for e in from_pickle} == {"5"}


@pytest.mark.parametrize("block", [1, 7, 100])
def test_the_json_is_read_in_blocks_of_any_size(root, block, monkeypatch):
    data = official()
    save(root, data)
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    seen = []
    url = str(root / "LVIS/lvis_v1_val.json")
    found = list(stream_lists(url, ("images", "annotations"), lambda *at: seen.append(at)))
    assert [e for key, e in found if key == "annotations"] == data["annotations"]
    assert [e for key, e in found if key == "images"] == data["images"]
    size = (root / "LVIS/lvis_v1_val.json").stat().st_size
    one = seen[: len(seen) // 2]
    assert one == sorted(one)
    assert one[-1] == (size, size)
    assert seen == [*one, *one]  # a pass for each list


def test_numbers_at_the_edge_of_a_block_are_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "_BLOCK", 1)
    file = tmp_path / "x.json"
    file.write_text(
        '\ufeff{"n": 12345, "a": [{"x": 123, "y": 2.5}], "b": [1, []], "c": [{"é": "é"}]}'
    )
    found = list(stream_lists(str(file), ("a", "c")))
    assert found == [("a", {"x": 123, "y": 2.5}), ("c", {"é": "é"})]
    assert isinstance(found[0][1]["x"], int)
    assert isinstance(found[0][1]["y"], float)


def test_another_folder_becomes_a_data_root(root, tmp_path, monkeypatch):
    save(root, official(), "annotations/lvis_v1_val.json")
    out = tmp_path / "elsewhere"
    monkeypatch.chdir(root)
    assert Lvis92iBenchmark(".").prepare(str(out)) == [f"{out}/lvis_val.parquet"]
    assert not list(root.glob("*.parquet"))
    benchmark = Lvis92iBenchmark(str(out))
    benchmark.check()
    (episode, *_) = benchmark.episodes("0", Sampling())
    assert np.asarray(Image.open(episode.query.uri)).shape == (10, 12, 3)
    assert episode.query.key in (path_of(1), path_of(2), path_of(3))


def test_a_read_only_folder_is_named(root):
    save(root, official())
    (root / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*--out DIR"):
        Lvis92iBenchmark(str(root)).prepare(str(root / "file"))


@pytest.mark.parametrize(
    ("key", "change", "fault"),
    [
        ("annotations", {"segmentation": [[1, 2]]}, "annotation 0: a polygon without x, y"),
        ("annotations", {"image_id": 99}, "annotation 0: no image 99 in the file"),
        ("annotations", {"category_id": 99}, "no category 99 in the file"),
        ("annotations", {"category_id": "1"}, "category_id is '1', not a whole number"),
        ("images", {"coco_url": None}, "image 0: neither coco_url nor file_name"),
        ("images", {"coco_url": "http://x/../y"}, "image 0 names '../y'"),
        ("images", {"height": None}, "height is None"),
        ("categories", {"id": None}, "category None: id is None"),
    ],
)
def test_a_malformed_entry_is_named(root, key, change, fault):
    data = official()
    data[key][0].update(change)
    save(root, data)
    with pytest.raises(SourceError, match=rf"lvis_v1_val\.json: .*{fault}"):
        Lvis92iBenchmark(str(root), strict=True).prepare()


@pytest.mark.parametrize("block", [1, 5, 64])
def test_numbers_that_json_does_not_have_are_null_unless_they_are_text(root, block, monkeypatch):
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    file = root / "x.json"
    file.write_text('{"a": [{"x": [NaN, -Infinity,Infinity , 1], "NaN": "NaN", "y": "so NaN"}]}')
    assert [e for _, e in stream_lists(str(file), ["a"])] == [
        {"x": [None, None, None, 1], "NaN": "NaN", "y": "so NaN"}
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not valid JSON"),
        ("[]", "no list 'images'"),
        ('{"images": []} {', "not valid JSON"),
        ('{"images": [{"id": nan}]}', "not valid JSON"),
        ('{"images": [', "not valid JSON, or is truncated"),
        ('{"images": [{"id": 1', "not valid JSON, or is truncated"),
        ('{"images": [1]}', r"images\[0\] is not an object"),
        ('{"images": ' + "[" * 5000, "not valid JSON"),
        ('{"images": {}}', "no list 'images'"),
        ('{"images": []} ', "no list 'images', or an empty one"),
        (
            '{"images": [{"id": 1, "file_name": "a/b", "height": 1, "width": 1}]} ',
            "no list 'categories'",
        ),
    ],
)
def test_invalid_json_is_named(root, text, fault):
    (root / "LVIS/lvis_v1_val.json").write_text(text)
    with pytest.raises(SourceError, match=rf"lvis_v1_val\.json.* {fault}|{fault}"):
        Lvis92iBenchmark(str(root)).prepare()


def test_file_names_with_a_folder_replace_a_missing_url(root):
    data = official()
    for image in data["images"]:
        image["file_name"] = path_of(image["id"])
        del image["coco_url"]
    save(root, data)
    Lvis92iBenchmark(str(root)).prepare()
    assert len(Lvis92iBenchmark(str(root)).episodes("0", Sampling())) == 25
