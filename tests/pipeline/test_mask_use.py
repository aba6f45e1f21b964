"""Masks that no image takes, images that find no mask, and masks of images that EXIF turns."""

import json

import numpy as np
import pytest
from PIL import Image

from ipseg.errors import SourceError
from ipseg.vision.orientation import turn, turn_back
from pipeline.runfolder.survey import survey_run

RED = ("red", 4, 6, 20, 20)
BOX = np.zeros((40, 60), bool)
BOX[6:26, 4:24] = True


def save(path, mask, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path, **options)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.fixture
def red(painted):
    """Only red is looked for; a.png and deep/c.png have it."""
    for file in (painted.root / "prompts").glob("blue*"):
        file.unlink()
    return painted


def metric(rows, key):
    (found,) = rows[key]["metrics"]
    return found


def test_both_sides_are_counted_with_examples_by_run_and_status(red):
    masks = red.root / "masks"
    for name in ("a.png", "A.PNG", "deep/a.png", "b.tif", "c/deep.png", "b/x.png"):
        save(masks / "red" / name, BOX)
    save(masks / "blue" / "a.png", BOX)
    (masks / "red" / "notes.txt").write_text("")
    (red.root / "images" / "broken.png").write_text("no image")
    save(masks / "red" / "broken.png", BOX)
    run, rows = red.segment("run", masks=str(masks))
    assert metric(rows, "a.png")["mask"] == f"{masks}/red/a.png"
    assert metric(rows, "b.png")["mask"] == f"{masks}/red/b.tif"
    assert metric(rows, "d.png")["mask"] is None
    found = run.metrics["ground_truth"]
    assert (found["images"], found["masks"]) == (5, 7), "blue was not looked for"
    assert found["images_without"] == {"count": 3, "examples": ["d.png", "deep/c.png", "e.png"]}
    unused = ["red/A.PNG", "red/b/x.png", "red/c/deep.png"]
    assert found["masks_unused"] == {"count": 4, "examples": unused}, "broken.png has its image"
    assert found["masks_shared"]["count"] == 0
    lines = [line for line in run.warnings if str(masks) in line]
    assert lines[0] == f"3 of 5 images have no mask in {masks}: d.png, deep/c.png, e.png"
    assert lines[1] == f"4 of 7 masks in {masks} are of no image: {', '.join(unused)}, ..."
    assert set(lines) <= set(survey_run(run.out).problems)
    assert json.loads((red.root / "run" / "metrics.json").read_text())["ground_truth"] == found


def test_where_all_goes_together_nothing_is_said(red):
    for name in ("a", "b", "d", "e", "deep/c"):
        save(red.root / "masks" / f"{name}.png", BOX)
    run, rows = red.segment("run", masks=f"{red.root}/masks/")
    assert metric(rows, "a.png")["intersection"] == BOX.sum()
    assert run.warnings == ()
    assert survey_run(run.out).problems == ()
    assert run.metrics["ground_truth"]["masks_turned"] == 0


def test_a_mask_that_two_images_take_is_reported(red):
    red.image("a.jpg", RED)
    for name in ("a", "b", "d", "e", "deep/c"):
        save(red.root / "masks" / f"{name}.png", BOX)
    run, _ = red.segment("run", masks=f"{red.root}/masks")
    (line,) = (line for line in run.warnings if "several images" in line)
    assert line.endswith("give the images different names: a.png of a.jpg, a.png")
    save(red.root / "masks" / "a.jpg.png", BOX)
    run, _ = red.segment("again", masks=f"{red.root}/masks")
    assert run.metrics["ground_truth"]["masks_shared"]["count"] == 0


def test_of_two_images_the_one_in_the_literal_place_has_the_mask(red):
    red.image("red/a.png", RED)
    save(red.root / "masks" / "red" / "a.png", BOX)
    run, rows = red.segment("run", masks=f"{red.root}/masks")
    assert metric(rows, "a.png")["intersection"] == BOX.sum()
    assert metric(rows, "red/a.png")["mask"] is None
    assert run.metrics["ground_truth"]["masks_shared"]["count"] == 0


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("rule", ["auto", "upright", "stored"])
def test_masks_of_an_image_that_exif_turns(red, orientation, rule):
    image = red.root / "images" / "a.png"
    upright = np.asarray(Image.open(image)).copy()
    stored = np.ascontiguousarray(turn_back(upright, orientation))
    Image.fromarray(stored).save(image, exif=exif(orientation))
    mask = BOX if rule == "upright" else np.ascontiguousarray(turn_back(BOX, orientation))
    assert np.array_equal(turn(mask, orientation), BOX) == (rule != "upright")
    save(red.root / "masks" / "red" / "a.png", mask)
    setting = f"images.mask_orientation={rule}"
    run, rows = red.segment("run", setting, masks=f"{red.root}/masks")
    found = metric(rows, "a.png")
    if (rule, orientation) == ("auto", 3):  # it fits both ways
        assert found["status"] == "failed"
        assert "--set images.mask_orientation=upright or =stored" in found["error_message"]
        return
    assert (found["intersection"], found["union"]) == (BOX.sum(), BOX.sum())
    assert found["turned"] == (rule != "upright")
    assert run.metrics["ground_truth"]["masks_turned"] == (rule != "upright")
    assert any("turned as their images are" in line for line in run.warnings) == found["turned"]


def test_a_folder_without_any_mask_is_refused_before_the_run(red):
    save(red.root / "masks" / "red" / "a.jpg", BOX)
    with pytest.raises(SourceError, match="there is no mask in"):
        red.segment("run", masks=f"{red.root}/masks")
    assert not (red.root / "run").exists()


def test_a_mask_that_cannot_be_read_fails_its_comparison_and_names_the_file(red):
    save(red.root / "masks" / "red" / "a.png", BOX, format="JPEG")
    _, rows = red.segment("run", masks=f"{red.root}/masks")
    found = metric(rows, "a.png")
    assert found["status"] == "failed"
    assert (
        f"{red.root}/masks/red/a.png cannot be used as a mask: it is a lossy JPEG"
        in (found["error_message"])
    )
