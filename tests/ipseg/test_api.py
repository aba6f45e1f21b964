import pickle

import numpy as np
import pytest

import ipseg
from ipseg.errors import ImageError, PromptError
from ipseg.objects import Object
from ipseg.vision.images import encode_jpeg

# Work images of a few pixels.
SMALL = [
    *(f"{part}.long_side=96" for part in ("support.saliency", "saliency", "features.classical")),
    *("segmenter.long_side=96", "features.sift.long_side=144"),
]


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


def test_many_images_are_segmented_when_they_are_asked_for(photos, model):
    taken = []

    def images():
        for number in range(3):
            taken.append(number)
            yield photos["cup"]

    found = model.segment(images())
    assert taken == []
    next(found)
    assert taken == [0]


def test_a_folder_of_prompts_is_as_the_same_prompts_by_hand(prompt_folder, photos):
    from ipseg.vision.mask_files import read_mask

    by_folder, by_hand = (ipseg.load("classical", SMALL) for _ in range(2))
    bank = by_folder.set_prompts(prompt_folder)
    assert list(bank.categories) == ["cat", "cup"]
    mask = read_mask((prompt_folder / "cat" / "1.mask.png").read_bytes())
    by_hand.set_prompts(
        {
            "cup": prompt_folder / "cup.jpg",
            "cat": [ipseg.Prompt(prompt_folder / "cat" / "1.jpg", mask)],
        }
    )
    first, second = (model.segment(photos["cat"]) for model in (by_folder, by_hand))
    assert first.objects == second.objects
    assert first.concepts == second.concepts == ("cat", "cup")


def test_what_is_given_with_a_prompt_is_used(photos):
    mask = np.zeros(photos["cat"].shape[:2], bool)
    mask[40:180, 60:260] = True
    given = {
        "whole": ipseg.Prompt(photos["cat"]),
        "masked": ipseg.Prompt(photos["cat"], mask),
        "pointed": ipseg.Prompt(photos["cat"], points=[(160, 110), (150, 100)]),
    }
    model = ipseg.load("classical", SMALL)
    bank = model.set_prompts(given)
    features = [bank.features(name)["classical/object"].tolist() for name in given]
    assert len({tuple(each) for each in features}) == len(given)
    with pytest.raises(PromptError, match="prompt boxed/0 cannot be used: a box needs a segmenter"):
        model.set_prompts({"boxed": ipseg.Prompt(photos["cat"], box=(60, 40, 260, 180))})


def test_prompts_of_a_later_call_replace_those_of_an_earlier_one(photos):
    model = ipseg.load("classical", SMALL)
    model.set_prompts({"cup": photos["cup"]})
    model.set_prompts({"cat": photos["cat"], "dog": [ipseg.Prompt(photos["cup"])] * 2})
    assert model.segment(photos["cat"]).concepts == ("cat", "dog")


def test_several_objects_and_frames_are_put_together_for_those_who_look():
    image = np.zeros((4, 6, 3), np.uint8)
    left, right = np.zeros((2, 4, 6), bool)
    left[:, :2], right[:, 4:] = True, True
    points = np.array([[1, 1, 1]], np.float32)
    found = ipseg.Segmentation(
        [image, image],
        (
            Object.of("cup", 1, left, 0.3, points=points),
            Object.of("cup", 1, right, 0.8, instance=1, points=points + 1),
            Object.of("cat", 2, right, 0.5, frame=1),
        ),
        ("cup", "cat", "dog"),
    )
    assert list(found.masks) == ["cup"], "of the first frame"
    assert np.array_equal(found.masks["cup"], left | right)
    assert found.points["cup"].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert found.scores == {"cup": 0.8, "cat": 0.5}
    assert [each.concept for each in found.of_frame(1)] == ["cat"]
    assert not np.array_equal(found.overlay(frame=1), image)
    assert np.array_equal(found.overlay(0.9), image)


def test_errors_name_the_image(model, tmp_path):
    with pytest.raises(PromptError, match="give prompts first"):
        ipseg.load("classical", SMALL).segment(b"")
    with pytest.raises(ImageError, match="bytes: the file is empty"):
        model.segment(b"")
    (tmp_path / "notes.jpg").write_text("hello")
    with pytest.raises(ImageError, match=r"notes.jpg: not an? \w+ in .* \(in step decode\)"):
        model.segment(tmp_path / "notes.jpg")
    with pytest.raises(PromptError, match=r"prompt cup/0 cannot be used: not an?"):
        ipseg.load("classical", SMALL).set_prompts({"cup": b"only text"})
    with pytest.raises(PromptError, match=r"cup/0: a box is \[x0, y0, x1, y1\]"):
        ipseg.load("classical", SMALL).set_prompts({"cup": ipseg.Prompt(b"", box=(9, 9, 3, 3))})
    with pytest.raises(ImageError, match="takes single images: use segment"):
        model.segment_sequence(["0.jpg"])


def test_public_names_are_what_they_say():
    assert set(ipseg.__all__) >= {"load", "Prompt", "Method", "Object", "Row", "Step", "Bank"}
    assert all(getattr(ipseg, name) is not None for name in ipseg.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ipseg.nothing


def test_a_bank_in_memory_travels(model):
    again = pickle.loads(pickle.dumps(model.bank))  # noqa: S301
    assert again.categories == model.bank.categories
    for name, array in model.bank.features("cup").items():
        assert np.array_equal(array, again.features("cup")[name])
