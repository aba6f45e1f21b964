import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ipseg.benchmarks.annotations.label_index import (
    INDEX_FILE,
    Coding,
    count_labels,
    label_index,
)
from ipseg.benchmarks.ground_truth import read_ground_truth, read_label_map
from ipseg.errors import SourceError

CODING = Coding({7: 6}, {*range(10), 255}, 255, "ten labels and void")


@pytest.fixture
def maps(tmp_path):
    """a: half 1, half void; b: all 3."""
    half = np.full((4, 4), 255, np.uint8)
    half[:2] = 1
    for name, labels in {"b": np.full((4, 4), 3, np.uint8), "a": half}.items():
        Image.fromarray(labels).save(tmp_path / f"{name}.png")
    return {name: str(tmp_path / f"{name}.png") for name in ("b", "a")}


def test_the_index_counts_every_label_of_every_map(maps, tmp_path):
    seen = []
    table = label_index(maps, CODING, str(tmp_path), lambda done, of: seen.append((done, of)))
    assert table.to_pylist() == [
        {"name": "a", "label": 1, "pixels": 8, "share": 0.5},
        {"name": "a", "label": 255, "pixels": 8, "share": 0.5},
        {"name": "b", "label": 3, "pixels": 16, "share": 1.0},
    ]
    assert seen == [(1, 2), (2, 2)]


def test_the_maps_are_read_again_when_one_has_changed(maps, tmp_path):
    seen = []

    def index():
        return label_index(maps, CODING, str(tmp_path), lambda *at: seen.append(at)).to_pylist()

    first = index()
    assert index() == first
    assert len(seen) == 2
    path = Path(maps["b"])
    before = path.stat()
    Image.fromarray(np.full((4, 4), 2, np.uint8)).save(path)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -p` and `rsync -t` do
    assert index()[-1] == {"name": "b", "label": 2, "pixels": 16, "share": 1.0}
    assert len(seen) == 4
    path.touch()
    assert index()[-1]["label"] == 2
    assert len(seen) == 6
    assert index()[-1]["label"] == 2
    assert len(seen) == 6


def test_an_index_is_moved_with_its_maps(maps, tmp_path):
    first = label_index(maps, CODING, str(tmp_path))
    moved = tmp_path.rename(f"{tmp_path}-moved")
    maps = {name: url.replace(str(tmp_path), str(moved)) for name, url in maps.items()}
    assert label_index(maps, CODING, str(moved), lambda *at: pytest.fail("read")).equals(first)


def test_other_maps_or_another_coding_make_a_new_index(maps, tmp_path):
    label_index(maps, CODING, str(tmp_path))
    assert label_index({"a": maps["a"]}, CODING, str(tmp_path)).num_rows == 2
    stricter = Coding({}, {1, 255}, 255, "one label and void")
    with pytest.raises(SourceError, match=r"b\.png contains the value 3: one label and void"):
        label_index(maps, stricter, str(tmp_path))


def test_a_read_only_folder_gives_a_warning(maps, tmp_path, caplog):
    (tmp_path / INDEX_FILE).mkdir()
    with caplog.at_level(logging.WARNING, "ipseg"):
        assert label_index(maps, CODING, str(tmp_path)).num_rows == 3
    assert "give a cache folder" in caplog.text


def test_a_damaged_index_is_named(maps, tmp_path):
    (tmp_path / INDEX_FILE).write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"ipseg_index\.parquet is damaged .*delete it"):
        label_index(maps, CODING, str(tmp_path))


def test_an_invalid_map_is_named(maps, tmp_path):
    with pytest.raises(SourceError, match=r"label map .*c\.png is missing"):
        label_index({**maps, "c": str(tmp_path / "c.png")}, CODING, str(tmp_path))
    (tmp_path / "c.png").write_bytes(b"text")
    with pytest.raises(SourceError, match=r"c\.png cannot be used as a mask: not an image"):
        read_label_map(str(tmp_path / "c.png"))
    Image.new("RGB", (4, 4)).save(tmp_path / "c.png")
    with pytest.raises(SourceError, match="of mode RGB, not a label map"):
        read_label_map(str(tmp_path / "c.png"))


def test_the_address_of_a_class_leads_to_its_pixels(maps, tmp_path):
    Image.fromarray(np.array([[6, 255, 1]], np.uint8)).save(tmp_path / "d.png")
    ground_truth = read_ground_truth(CODING.address(str(tmp_path / "d.png"), 7))
    assert ground_truth.mask.tolist() == [[True, False, False]]
    assert ground_truth.ignore.tolist() == [[False, True, False]]
    assert Coding({7: 6}, {6}, None, "").address("x.png", 7) == "x.png#label=6"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_counts_add_up_to_the_image(tmp_path_factory, values):
    url = str(tmp_path_factory.getbasetemp() / "counted.png")
    Image.fromarray(np.array([values], np.uint8)).save(url)
    counts = count_labels(url, CODING)
    assert counts == {value: values.count(value) for value in set(values)}
