"""`ipseg show` on runs that are hard to make: sequences, many instances, poisoned rows."""

import json

import cv2
import pytest
from skimage import data

from ipseg.errors import OutputError
from ipseg.rows import failed
from jobs.show import show_row
from pipeline.stages.run_stage import PoisonedRow


@pytest.fixture
def show(tmp_path, capsys):
    """Function: key -> (what is printed as JSON, the image)."""

    def run(key, frame=0, min_score=None):
        out = tmp_path / "deep" / "overlay.png"
        folder = str(tmp_path / "run")
        show_row(folder, key, out, frame=frame, min_score=min_score, as_json=True)
        return json.loads(capsys.readouterr().out), cv2.imread(str(out)).astype(int)

    return run


def test_one_frame_of_a_sequence(maker, show, tmp_path):
    out = str(tmp_path / "run")
    maker.write(out, [maker.sequence(out)], ["cat"], row_is="sequence")
    found, image = show("run", 8)
    assert (found["frame"], found["frames"]) == (8, 9)
    assert [(o["concept"], o["instance"]) for o in found["objects"]] == [("cat", 0), ("cat", 1)]
    assert found["objects"][0]["evidence"]["presence"] == pytest.approx(0.8)
    none, plain = show("run", 2)
    assert none["objects"] == []
    for y in (100, 160):
        assert abs(image[y + 25, 200] - plain[y + 25, 200]).max() > 30
    with pytest.raises(OutputError, match="run has no frame 9; it has 0 to 8"):
        show("run", 9)


def test_objects_below_the_score_are_left_out_one_by_one(maker, show, tmp_path):
    size = data.moon().shape
    masks = [maker.disc(size, (200, 100 * n), 30) for n in (1, 2, 3)]
    objects = [maker.found("cat", m, 0.3 * n, instance=n) for n, m in enumerate(masks, start=1)]
    maker.write(str(tmp_path / "run"), [maker.row("a", "moon", objects=objects)], ["cat"])
    assert [o["instance"] for o in show("a")[0]["objects"]] == [1, 2, 3]
    assert [o["instance"] for o in show("a", min_score=0.5)[0]["objects"]] == [2, 3]
    assert show("a", min_score=0.95)[0]["objects"] == []


def test_a_poisoned_row_is_an_error(maker, show, tmp_path):
    row = failed(maker.row("p", "moon"), "match", PoisonedRow(3))
    maker.write(str(tmp_path / "run"), [row], ["cat"])
    with pytest.raises(OutputError, match=r"p failed in stage 'match' \(PoisonedRow\): 3 workers"):
        show("p")


def test_an_image_that_is_gone_is_an_error(maker, show, tmp_path):
    row = maker.row("a", "moon") | {"uri": str(tmp_path / "gone.jpg")}
    maker.write(str(tmp_path / "run"), [row], ["cat"])
    with pytest.raises(OutputError, match=r"cannot read the image of a: .*gone\.jpg"):
        show("a")
