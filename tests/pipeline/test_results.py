"""Runs that are compared with ground truth: what is counted, and what is said where nothing is."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ipseg.config import load_config
from pipeline.segment import Request, segment

SMALL = str(Path(__file__).parents[1] / "small.yaml")


@pytest.fixture
def compared(image_folder, prompt_folder, tmp_path):
    """Function: (folder of masks, concepts) -> finished run over two pictures."""
    images = tmp_path / "images" / "deep"
    images.mkdir(parents=True)
    for name in ("cup-flipped.jpg", "rocket.jpg"):
        shutil.copy(image_folder / name, images)

    def run(masks, *concepts):
        prompts = tmp_path / "prompts"
        shutil.copytree(prompt_folder, prompts)
        if "cat" not in concepts:
            shutil.rmtree(prompts / "cat")
        request = Request(
            *(str(tmp_path / "images"), str(tmp_path / "run"), load_config(SMALL)),
            prompts=str(prompts),
            masks=str(masks),
            engine="local",
        )
        return segment(request)

    return run


def put(path, photo):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(photo.shape[:2], 255, np.uint8))


def test_concepts_that_no_mask_shows_are_told(compared, photos, tmp_path):
    masks = tmp_path / "masks"
    put(masks / "cup/deep/cup-flipped.png", photos["cup"])
    put(masks / "cat/cup-flipped.png", photos["cup"])  # its folder was forgotten
    done = compared(masks, "cup", "cat")
    cup, cat = (done.metrics["quality"]["concepts"][name] for name in ("cup", "cat"))
    assert (cup["present"], cat["present"]) == (1, 0)
    assert 0 < cup["mean_iou"] < 1
    (warning,) = [each for each in done.warnings if "by its masks" in each]
    assert "no picture shows 'cat'" in warning
    assert f"{masks}/cat/a/b.png" in warning


def test_masks_of_no_picture_are_told(compared, photos, tmp_path):
    masks = tmp_path / "masks"
    put(masks / "other.png", photos["cup"])
    done = compared(masks, "cup")
    assert done.metrics["quality"] is None
    (warning,) = [each for each in done.warnings if "by its masks" in each]
    assert f"that of a/b.jpg is {masks}/a/b.png" in warning
