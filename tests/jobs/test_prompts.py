"""`ipseg prompts` as a person meets it: what is taken for the object of each prompt."""

import json
import shutil

import cv2
import numpy as np
import pytest

LIGHT = ("--profile", "ipseg-light", "--set")


@pytest.fixture
def ipseg(command, capfd, monkeypatch):
    """Runs the command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*words):
        capfd.readouterr()
        code = command("prompts", *words)
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def folder(prompt_folder, tmp_path):
    """`cup.jpg` and `cat/1.jpg` with its mask, to be changed."""
    return shutil.copytree(prompt_folder, tmp_path / "prompts")


def sources(out):
    return {each["key"]: each["mask_source"] for each in json.loads(out)["prompts"]}


def test_masks_and_saliency_are_drawn_and_listed(ipseg, prompt_folder, tmp_path):
    out = tmp_path / "prompts.png"
    code, printed, _ = ipseg(prompt_folder, "--out", out)
    assert code == 0
    assert cv2.imread(str(out)).std() > 10
    for word in ("cat/1.jpg", "cup.jpg", "saliency", "covers", f"image: {out}"):
        assert word in printed
    code, printed, _ = ipseg(prompt_folder, "--out", out, "--json")
    assert code == 0
    assert sources(printed) == {"cat/1.jpg": "mask", "cup.jpg": "saliency"}
    cat, cup = json.loads(printed)["prompts"]
    assert cat["share"] == pytest.approx(0.43, abs=0.02), "of the ellipse that is its mask"
    assert 0 < cup["share"] < 1
    assert cat["error"] is None


def test_points_beside_a_prompt_and_on_the_command_line(ipseg, folder, tmp_path):
    (folder / "cat" / "1.mask.png").unlink()
    (folder / "cat" / "1.point.json").write_text("[150, 110]")
    words = ("--out", tmp_path / "out.png", "--json")
    code, printed, _ = ipseg(folder, *words, "--prompt-point", "cup=150,110")
    assert code == 0
    assert sources(printed) == {"cat/1.jpg": "point", "cup.jpg": "point"}


def test_boxes_go_through_the_segmenter_of_the_profile(ipseg, folder, tmp_path, tiny_root):
    (folder / "cup.box.json").write_text("[40, 20, 240, 180]")
    words = ("--out", tmp_path / "out.png", "--json")
    code, printed, _ = ipseg(folder, *words, *LIGHT, f"models.root={tiny_root}")
    assert code == 0
    assert sources(printed) == {"cat/1.jpg": "mask", "cup.jpg": "box"}
    code, printed, err = ipseg(folder, *words)
    assert code == 1
    assert "a box needs a segmenter that takes boxes, which ClassicalSegmenter does not" in err


def test_a_prompt_that_cannot_be_used_is_drawn_and_ends_with_exit_code_1(ipseg, folder, tmp_path):
    cv2.imwrite(str(folder / "cat" / "1.mask.png"), cv2.imread(str(folder / "cup.jpg"))[:9, :9])
    out = tmp_path / "out.png"
    code, printed, err = ipseg(folder, "--out", out, "--json")
    assert code == 1
    assert f"first {folder}/cat/1.jpg: {folder}/cat/1.mask.png is 9x9" in err
    cat, cup = json.loads(printed)["prompts"]
    assert "is 9x9 pixels" in cat["error"]
    assert cup["error"] is None
    assert out.is_file()


def test_an_image_that_is_none_is_drawn_as_a_gap_beside_the_others(ipseg, folder, tmp_path):
    (folder / "dog.jpg").write_text("hello")
    (folder / "ant.jpg").write_bytes(b"")
    out = tmp_path / "out.png"
    code, printed, err = ipseg(folder, "--out", out, "--json")
    assert code == 1
    assert "2 of 4 prompts cannot be used" in err
    errors = {each["key"]: each["error"] for each in json.loads(printed)["prompts"]}
    assert [key for key, error in errors.items() if error] == ["ant.jpg", "dog.jpg"]
    assert out.is_file()


def test_one_file_and_files_by_name(ipseg, folder, tmp_path):
    cup = cv2.imread(str(folder / "cup.jpg"))
    alpha = np.zeros(cup.shape[:2], np.uint8)
    alpha[40:180, 60:260] = 255
    cv2.imwrite(str(tmp_path / "cut.png"), np.dstack([cup, alpha]))
    words = ("--out", tmp_path / "out.png", "--json")
    code, printed, _ = ipseg(
        folder / "cat" / "1.jpg", "--prompt", f"mug={tmp_path}/cut.png", *words
    )
    assert code == 0
    one, mug = json.loads(printed)["prompts"]
    assert (one["concept"], one["mask_source"]) == ("1", "mask"), "1.mask.png lies beside it"
    assert (mug["concept"], mug["mask_source"]) == ("mug", "alpha")
    assert mug["share"] == pytest.approx((alpha > 0).mean(), abs=1e-3)
    assert ipseg(*words)[0] == 2, "nothing is given"


def test_a_support_that_takes_masks_alone_refuses_other_prompts(ipseg, folder, tmp_path):
    out = tmp_path / "out.png"
    code, printed, err = ipseg(folder, "--out", out, "--support", "mask")
    assert code == 1
    assert "cup.jpg has no mask: put NAME.mask.png beside" in err
    assert "cup.jpg has no mask" in printed


@pytest.mark.parametrize(
    ("words", "says", "ends_with"),
    [
        (("--prompt-point", "cup=900,20"), "is at 900, 20, outside of its image of 320x213", 1),
        (("--prompt-box", "dog=1,1,9,9"), "'dog' must name one prompt", 2),
        (("--prompt", "cup.jpg"), "write NAME=FILE", 2),
        (("--support", "outline"), "support.kind", 2),
    ],
)
def test_what_does_not_fit_is_one_error(ipseg, folder, tmp_path, words, says, ends_with):
    code, _, err = ipseg(folder, "--out", tmp_path / "out.png", *words)
    assert code == ends_with
    assert says in err
    assert "Traceback" not in err
