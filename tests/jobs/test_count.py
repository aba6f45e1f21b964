"""`ipseg count`: numbers in a table, maps as images, masks as in any run."""

import csv
import json

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage import data

from ipseg.vision.images import encode_png
from jobs.demo.crowds import prompts
from pipeline.counts import _lines

PLACES = [(40 + 50 * i, 30 + 50 * j) for j in range(3) for i in range(4)]


def copies(photo, places):
    """(180, 240, 3): an oval part of a photo at each place, on grass."""
    image = np.dstack([cv2.resize(data.grass()[:180, :240], (240, 180)) // 3 + 40] * 3)
    small = cv2.resize(photo, (35, 29))
    oval = np.zeros((29, 35), np.uint8)
    cv2.ellipse(oval, (17, 14), (17, 14), 0, 0, 360, 1, -1)
    for x, y in places:
        image[y - 14 : y + 15, x - 17 : x + 18][oval > 0] = small[oval > 0]
    return image


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("count")
    (root / "images" / "deep").mkdir(parents=True)
    prompt = prompts()["cat"]
    (root / "images" / "deep" / "a.png").write_bytes(encode_png(copies(prompt.image, PLACES)))
    (root / "images" / "b.png").write_bytes(encode_png(copies(prompt.image, PLACES[:5])))
    (root / "images" / "broken.png").write_text("no image")
    (root / "images" / "none.png").write_bytes(encode_png(copies(prompt.image, [])))
    (root / "cat.png").write_bytes(encode_png(prompt.image))
    (root / "cat.mask.png").write_bytes(encode_png(prompt.mask.astype(np.uint8) * 255))
    return root


@pytest.fixture(scope="module")
def counted(folders, command, tmp_path_factory):
    out = tmp_path_factory.mktemp("counted") / "run"
    words = ["count", "--images", folders / "images", "--prompts", folders / "cat.png"]
    code = command(*words, "--out", out, "--engine", "local")
    return code, out, words


def test_there_is_a_line_for_each_image_and_concept(counted):
    code, out, _ = counted
    assert code == 0
    lines = {
        line["key"]: line for line in csv.DictReader((out / "counts.csv").read_text().splitlines())
    }
    assert list(lines) == ["b.png", "broken.png", "deep/a.png", "none.png"]
    assert [float(lines[key]["count"]) for key in ("deep/a.png", "b.png")] == [12, 5]
    assert [int(lines[key]["instances"]) for key in ("deep/a.png", "b.png")] == [12, 5]
    assert {line["concept"] for line in lines.values()} == {"cat"}
    assert lines["broken.png"]["status"] == "failed"
    assert lines["broken.png"]["count"] == ""
    assert lines["broken.png"]["error_message"]
    assert lines["none.png"]["status"] == "empty"
    assert lines["none.png"]["notes"] == "prompt not found"
    same = pq.read_table(out / "counts.parquet").to_pylist()
    assert [row["count"] for row in same] == [5, None, 12, 0]


def test_a_density_map_is_an_image_in_the_sides_of_its_photo(counted):
    _, out, _ = counted
    lines = pq.read_table(out / "counts.parquet").to_pylist()
    assert [line["density"] for line in lines] == [
        "density/cat/b.png",
        None,
        "density/cat/deep/a.png",
        None,
    ]
    levels = np.asarray(Image.open(out / lines[2]["density"]))
    assert (levels.shape, levels.dtype) == ((180, 240), np.uint8)
    assert min(levels[y, x] for x, y in PLACES) > 150
    assert levels[0, 0] < 30


def test_the_same_folder_is_a_run_like_any_other(counted, ipseg):
    code, out, words = counted
    code, text, _ = ipseg(*words, "--out", out, "--engine", "local", "--json")
    assert code == 0
    said = json.loads(text)
    assert said["concepts"] == {"cat": {"images": 3, "count": 17.0, "instances": 17}}
    assert said["maps"] == 2
    assert said["rows"] == {"ok": 2, "empty": 1, "failed": 1, "poisoned": 0}
    assert ipseg("report", out)[0] == 0
    page = (out / "report.html").read_text()
    assert "<h2>Counts</h2>" in page
    assert "count 12.0, density sum 12.0" in page
    assert ipseg("status", out)[0] == 0


def test_what_is_outlined_nowhere_adds_nothing_to_a_sum():
    crowd = {"concept": "cat", "count": 7.0, "total": 6.5, "notes": [], "density": None}
    row = {"key": "a", "uri": "a", "row_status": "empty", "error_message": None}
    (line,) = _lines({**row, "objects": [], "crowds": [crowd]}, ["cat"], {})
    assert (line["status"], line["count"], line["density_sum"]) == ("empty", 0, 6.5)
    (line,) = _lines({**row, "objects": [{"concept": "cat"}], "crowds": [crowd]}, ["cat"], {})
    assert (line["status"], line["count"], line["density_sum"]) == ("ok", 7, 6.5)


def test_maps_are_left_out_later_or_refused_where_there_are_none(counted, ipseg, folders, tmp_path):
    _, out, words = counted
    code, text, _ = ipseg(*words, "--out", out, "--engine", "local", "--no-maps", "--json")
    assert (code, json.loads(text)["maps"]) == (0, 0)
    assert set(pq.read_table(out / "counts.parquet")["density"].to_pylist()) == {None}
    lone = tmp_path / "lone"
    lone.mkdir()
    (lone / "none.png").write_bytes((folders / "images" / "none.png").read_bytes())
    one = ("count", "--images", lone, *words[3:], "--out", tmp_path / "run", "--engine", "local")
    assert ipseg(*one, "--no-maps")[0] == 0
    code, _, err = ipseg(*one)
    assert (code, "without density maps: give --no-maps" in err) == (2, True)


def test_calls_that_cannot_count(counted, ipseg, folders, tmp_path):
    _, out, words = counted
    new = (*words, "--out", tmp_path / "run", "--engine", "local")
    code, _, err = ipseg(*new, "--profile", "classical")
    assert code == 2
    assert "profile 'classical' does not count; 'persense-classical'" in err
    code, _, err = ipseg(*new, "--set", "persense.density=false")
    assert (code, "is set by --maps and --no-maps" in err) == (2, True)
    code, _, err = ipseg(*new, "--names", "cat")
    assert (code, "--names is CONCEPT=TEXT" in err) == (2, True)
    code, _, err = ipseg(*new, "--names", "cat=tiger")
    assert (code, "there is none: leave --names out" in err) == (2, True)
    code, _, err = ipseg(*new, "--profile", "persense", "--names", "cats=tiger")
    assert (code, "unknown concept in --names 'cats'; did you mean 'cat'?" in err) == (2, True)
    code, _, err = ipseg(*words, "--out", out, "--engine", "local", "--set", "persense.nms=0.4")
    assert (code, "persense.nms: 0.3 -> 0.4" in err) == (2, True), "it is another run"
    lone = tmp_path / "lone"
    lone.mkdir()
    (lone / "x.png").write_text("no image")
    words = ("--images", lone, "--prompts", folders / "cat.png", "--out", tmp_path / "none")
    assert ipseg("count", *words, "--engine", "local", "--no-maps")[0] == 1
    assert not (tmp_path / "none" / "density").exists()
    assert "ipseg count " in ipseg("count", "--help")[1]
