import numpy as np
import pytest

import ipseg
from ipseg.errors import ImageError, PromptError
from ipseg.vision.images import encode_jpeg


@pytest.fixture(scope="module")
def model(photos):
    model = ipseg.load("classical")
    model.set_prompts({"cup": photos["cup"]})
    return model


def test_three_lines(photos, model):
    result = model.segment(photos["cup"][:, ::-1].copy())
    assert result.masks["cup"].shape == photos["cup"].shape[:2]
    assert 0.05 < result.masks["cup"].mean() < 0.7
    assert 0 < result.scores["cup"] <= 1
    assert set(result.points["cup"][:, 2]) == {0, 1}
    inside = result.points["cup"][result.points["cup"][:, 2] == 1, :2].astype(int)
    assert result.masks["cup"][inside[:, 1], inside[:, 0]].any()
    overlay = result.overlay()
    assert overlay.shape == result.image.shape
    assert not np.array_equal(overlay, result.image)
    assert np.array_equal(result.overlay(min_score=1.1), result.image)


def test_paths_bytes_arrays_and_lists_are_the_same(photos, model, tmp_path):
    encoded = encode_jpeg(photos["cup"])
    (tmp_path / "cup.jpg").write_bytes(encoded)
    several = list(model.segment([tmp_path / "cup.jpg", encoded, str(tmp_path / "cup.jpg")]))
    assert len(several) == 3
    for each in several[1:]:
        assert np.array_equal(each.masks["cup"], several[0].masks["cup"])


def test_a_folder_and_a_bank_as_prompts(prompt_folder, model, photos):
    other = ipseg.load("classical")
    bank = other.set_prompts(prompt_folder)
    assert bank.names == ("cat", "cup")
    again = ipseg.load("classical")
    again.set_prompts(bank)
    first, second = other.segment(photos["cat"]), again.segment(photos["cat"])
    assert first.scores == second.scores
    assert first.concepts == ("cat", "cup")


def test_a_mask_given_with_a_prompt(photos):
    mask = np.zeros(photos["cat"].shape[:2], bool)
    mask[40:180, 60:260] = True
    model = ipseg.load("classical")
    bank = model.set_prompts({"cat": [ipseg.Prompt(photos["cat"], mask)]})
    assert bank.concepts[0].prompts[0]["mask_source"] == "given"


def test_errors_name_the_picture(model, tmp_path):
    with pytest.raises(PromptError, match="give prompts first"):
        ipseg.load("classical").segment(b"")
    with pytest.raises(ImageError, match="bytes: the file is empty"):
        model.segment(b"")
    (tmp_path / "notes.jpg").write_text("hello")
    with pytest.raises(ImageError, match=r"notes.jpg: not an image"):
        model.segment(tmp_path / "notes.jpg")
    with pytest.raises(PromptError, match="not an image"):
        ipseg.load("classical").set_prompts({"cup": b"text, not an image"})
