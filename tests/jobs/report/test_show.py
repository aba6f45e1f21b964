"""`ipseg show` on runs that are hard to make: sequences, many instances, poisoned rows."""

import json

import cv2
import pytest
from skimage import data

from ipseg.errors import OutputError
from ipseg.rows import failed
from jobs.show import Drawing, show_rows
from pipeline.runfolder.manifest import Manifest
from pipeline.stages.run_stage import PoisonedRow


@pytest.fixture
def show(tmp_path, capsys):
    """Function: keys -> (what is printed as JSON, the image)."""

    def run(*keys, frame=0, min_score=None, **more):
        out = tmp_path / "deep" / "overlay.png"
        folder = str(tmp_path / "run")
        show_rows(folder, keys, out, Drawing(frame, min_score), as_json=True, **more)
        return json.loads(capsys.readouterr().out), cv2.imread(str(out)).astype(int)

    return run


def test_one_frame_of_a_sequence(maker, show, tmp_path):
    out = str(tmp_path / "run")
    maker.write(out, [maker.sequence(out)], ["cat"], row_is="sequence")
    found, image = show("run", frame=8)
    assert (found["frame"], found["frames"]) == (8, 9)
    assert [(o["concept"], o["instance"]) for o in found["objects"]] == [("cat", 0), ("cat", 1)]
    assert found["objects"][0]["evidence"]["presence"] == pytest.approx(0.8)
    none, plain = show("run", frame=2)
    assert none["objects"] == []
    for y in (100, 160):
        assert abs(image[y + 25, 200] - plain[y + 25, 200]).max() > 30
    with pytest.raises(OutputError, match="run has no frame 9; it has 0 to 8"):
        show("run", frame=9)


def test_objects_below_the_score_are_left_out_one_by_one(maker, show, tmp_path):
    size = data.moon().shape
    masks = [maker.disc(size, (200, 100 * n), 30) for n in (1, 2, 3)]
    scores = {1: 0.3, 2: 0.6, 3: 0.9}
    objects = [maker.found("cat", m, scores[n], instance=n) for n, m in enumerate(masks, start=1)]
    maker.write(str(tmp_path / "run"), [maker.row("a", "moon", objects=objects)], ["cat"])
    assert [o["instance"] for o in show("a")[0]["objects"]] == [2, 3], "the first is weak beside"
    assert [o["instance"] for o in show("a", min_score=0)[0]["objects"]] == [1, 2, 3]
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


def objects(maker, **scores):
    size = data.moon().shape
    masks = (maker.disc(size, (200, 100 * n), 30) for n in range(1, len(scores) + 1))
    return [maker.found(c, m, score) for (c, score), m in zip(scores.items(), masks, strict=True)]


def test_what_is_not_drawn_is_said(maker, show, tmp_path, capsys):
    rows = [maker.row("a", "moon", objects=objects(maker, cat=0.9, cup=0.2, dog=0.05))]
    maker.write(str(tmp_path / "run"), rows, ["cat", "cup", "dog"])
    assert show("a")[0]["left_out"] == pytest.approx({"cup": 0.2, "dog": 0.05})
    assert show("a", min_score=0)[0]["left_out"] == {}
    show_rows(str(tmp_path / "run"), ["a"], tmp_path / "x.png", Drawing(), as_json=False)
    assert "left out: cup 0.20, dog 0.05; --min-score 0 draws them" in capsys.readouterr().out


def test_several_rows_are_drawn_on_one_sheet(maker, show, tmp_path):
    rows = [
        maker.row(f"{n:02}", "moon", objects=objects(maker, cat=0.9, cup=0.1)) for n in range(20)
    ]
    rows += [failed(maker.row("bad", "moon"), "decode", ValueError("cut"))]
    maker.write(str(tmp_path / "run"), rows, ["cat", "cup"])
    found, sheet = show("07", "03")
    assert [row["key"] for row in found["rows"]] == ["07", "03"], "in the order asked for"
    assert all(row["left_out"] for row in found["rows"])
    assert sheet.shape[1] > 2 * 320
    assert sheet.std() > 20
    found, _ = show(sample=6)
    sampled = [row["key"] for row in found["rows"]]
    assert len({*sampled}) == 6
    assert [row["key"] for row in show(sample=6)[0]["rows"]] == sampled, "the same lot"
    assert [row["key"] for row in show(sample=6, seed=1)[0]["rows"]] != sampled
    everything = {row["key"] for row in show(sample=99)[0]["rows"]}
    assert everything == {f"{n:02}" for n in range(20)}, "failed rows have nothing to draw"
    assert show("07", sample=2)[0]["rows"][0]["key"] == "07"


def test_a_row_that_is_not_written_yet_is_said_to_be_missing_so_far(maker, show, tmp_path):
    out = str(tmp_path / "run")
    maker.write(out, [maker.row("a", "moon")], ["cat"])
    with pytest.raises(OutputError, match=r"has no row with key 'b'$"):
        show("b")
    manifest = Manifest.read(out)
    manifest.runs[-1]["finished"] = None
    manifest.write()
    with pytest.raises(OutputError, match="has no row with key 'b' yet; the run is not finished"):
        show("b")
    assert show("a")[0]["key"] == "a"


def test_objects_of_an_evaluation_are_called_by_their_class(maker, show, tmp_path):
    entries = {"0123456789abcdef": "cup", "fedcba9876543210": "hat", "aaaaaaaaaaaaaaaa": "hat"}
    found = objects(maker, **dict.fromkeys(entries, 0.8))
    metrics = [
        maker.metric(entry, 0.5) | {"class_name": name, "episode": number}
        for number, (entry, name) in enumerate(entries.items())
    ]
    row = maker.row("a", "moon", objects=found, metrics=metrics)
    maker.write(str(tmp_path / "run"), [row], [])
    names = [each["concept"] for each in show("a")[0]["objects"]]
    assert names == ["cup", "hat, episode 1", "hat, episode 2"]
