import io
import pickle
import shutil
import weakref
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import count, islice
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

import ipseg
from ipseg.config import load_config
from ipseg.errors import ConfigError, ImageError, PromptError
from ipseg.methods.method import Method
from ipseg.rows import Step
from ipseg.vision.images import encode_jpeg

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)

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


@dataclass
class Nothing(Step):
    """Keeps nothing of a prompt."""

    name, requires, provides = "nothing", ("image",), ("prompt_features",)

    def __call__(self, rows):
        return [{**row, "prompt_features": {}} for row in rows]


@dataclass
class Count(Step):
    """Finds nothing; keeps how many rows it had at a time."""

    calls: ClassVar[list[int]] = []
    name, requires, provides = "count", ("image",), ("objects",)

    def __call__(self, rows):
        self.calls.append(len(rows))
        return [{**row, "objects": []} for row in rows]


@dataclass(frozen=True)
class Counting(Method):
    """A method that takes no time."""

    def prompt_steps(self):
        return [Nothing()]

    def image_steps(self, bank):
        return [Count()]


@pytest.fixture
def counting():
    """A model in batches of three; `Count.calls` are the batches."""
    config = load_config("classical", ["runtime.batch_size=3", "support=none"])
    model = ipseg.Model(replace(config, method=Counting()))
    model.set_prompts({"thing": PIXELS})
    Count.calls.clear()
    return model


def test_many_images_go_in_batches_and_come_in_order(counting):
    keys = [result.key for result in counting.segment([PIXELS] * 7)]
    assert keys == [*"0123456"]
    assert Count.calls == [3, 3, 1]


def test_an_endless_generator_takes_no_more_memory_than_a_batch(counting):
    given = count()
    found = counting.segment(PIXELS for _ in given)
    assert next(given) == 0, "nothing is taken before it is asked for"
    pixels = []
    for result in islice(found, 30):
        pixels.append(weakref.ref(result.image))
        assert sum(each() is not None for each in pixels) <= 3
    assert next(given) == 31
    assert Count.calls == [3] * 10


def test_errors_belong_to_their_image(counting, tmp_path):
    (tmp_path / "b.png").write_text("hello")
    images = [PIXELS, tmp_path / "a.png", PIXELS / 2, tmp_path / "b.png", PIXELS]
    results = list(counting.segment(images, on_error="return"))
    assert [result.key for result in results] == [
        "0",
        *map(str, images[1:2]),
        "2",
        f"{images[3]}",
        "4",
    ]
    errors = [result.error for result in results]
    assert errors[0] is errors[4] is None
    assert "No such file" in errors[1]
    assert "from 0 to 1" in errors[2]
    assert errors[3].endswith("(in step decode)")
    found = counting.segment(images)
    assert next(found).key == "0", "what comes before an error is not lost"
    with pytest.raises(ImageError, match=r"image .*a.png: .*No such file"):
        next(found)
    one = counting.segment(tmp_path / "b.png", on_error="return")
    assert one.error
    with pytest.raises(ConfigError, match="on_error is 'raise' or 'return', not 'ignore'"):
        counting.segment(PIXELS, on_error="ignore")


def test_a_generator_that_breaks_is_not_an_image_that_does(counting):
    def images():
        yield PIXELS
        raise OSError("the disk of the user is away")

    with pytest.raises(OSError, match="disk of the user"):
        list(counting.segment(images(), on_error="return"))


def test_folders_have_the_keys_that_the_pipeline_has(counting, image_folder):
    found = {each.key: each.error for each in counting.segment(image_folder, on_error="return")}
    assert [*found] == sorted(found)
    assert set(found) == {
        str(file.relative_to(image_folder)) for file in image_folder.rglob("*.jpg")
    }
    assert [key for key, error in found.items() if error] == ["broken.jpg"]
    assert len(list(counting.segment(f"{image_folder}/cup-*.jpg"))) == 3


def test_the_bank_of_a_run_is_taken_as_it_is(prompt_folder, photos, tmp_path):
    from pipeline.segment import Request, segment

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(encode_jpeg(photos["cup"]))
    config, out = load_config("classical", SMALL), str(tmp_path / "run")
    segment(
        Request(str(tmp_path / "photos"), out, config, prompts=str(prompt_folder), engine="local")
    )
    first, second, third = (ipseg.Model(config) for _ in range(3))
    first.set_prompts(prompt_folder)
    bank = second.set_prompts(out)
    third.set_prompts(tmp_path / "run" / "bank")
    shutil.rmtree(tmp_path / "photos")
    results = [model.segment(photos["cup"]) for model in (first, second, third)]
    assert results[0].objects == results[1].objects == results[2].objects
    assert bank._repr_png_() == first.bank._repr_png_()
    with pytest.raises(PromptError, match="made with other settings"):
        ipseg.load("classical").set_prompts(out)


def test_a_bank_goes_to_another_model_of_the_same_settings(photos):
    one, other = (ipseg.load("classical", SMALL) for _ in range(2))
    bank = one.set_prompts({"cup": ipseg.Prompt(photos["cup"], points=(150, 110))})
    assert other.set_prompts(bank) is bank
    assert other.segment(photos["cup"]).objects == one.segment(photos["cup"]).objects
    with pytest.raises(PromptError, match="made with other settings than profile 'classical' has"):
        ipseg.load("classical").set_prompts(bank)


def test_what_a_notebook_displays(photos):
    model = ipseg.load("classical", SMALL)
    assert repr(model) == "<Model classical: no prompts yet>"
    bank = model.set_prompts({"cup": photos["cup"], "cat": [photos["cat"]] * 2})
    assert repr(model) == "<Model classical: cat, cup>"
    assert repr(bank) == "<Bank of 2: cat, cup>"
    width, _ = Image.open(io.BytesIO(bank._repr_png_())).size
    assert 3 * 240 < width < 4 * 240, "three prompts in a row"


def test_a_cut_out_is_its_own_mask(photos):
    alpha = np.zeros(photos["cat"].shape[:2], np.uint8)
    alpha[40:180, 60:260] = 255
    cut = np.dstack([photos["cat"], alpha])
    white = np.where(alpha[..., None] > 0, photos["cat"], np.uint8(255))
    model = ipseg.load("classical", SMALL)
    bank = model.set_prompts(
        {
            "alpha": cut,
            "pillow": Image.fromarray(cut),
            "mask": ipseg.Prompt(white, mask=alpha),
            "saliency": photos["cat"],
        }
    )
    alpha, pillow, mask, saliency = (
        bank.features(name)["classical/object"].tolist()
        for name in ("alpha", "pillow", "mask", "saliency")
    )
    assert alpha == pillow == mask != saliency


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


def test_errors_name_the_image(model, tmp_path):
    with pytest.raises(PromptError, match="give prompts first"):
        ipseg.load("classical", SMALL).segment(b"")
    with pytest.raises(ImageError, match="image 0: the file is empty"):
        model.segment(b"")
    (tmp_path / "notes.jpg").write_text("hello")
    with pytest.raises(ImageError, match=r"notes.jpg: not an? \w+ in .* \(in step decode\)"):
        model.segment(tmp_path / "notes.jpg")
    with pytest.raises(PromptError, match=r"prompt cup/0 cannot be used: not an?"):
        ipseg.load("classical", SMALL).set_prompts({"cup": b"only text"})
    with pytest.raises(ImageError, match="takes single images: use segment"):
        model.segment_sequence(["0.jpg"])


def test_public_names_are_what_they_say():
    assert set(ipseg.__all__) >= {"load", "Prompt", "Method", "Object", "Row", "Step", "Bank"}
    assert all(getattr(ipseg, name) is not None for name in ipseg.__all__)
    assert set(dir(ipseg)) >= set(ipseg.__all__)
    assert ipseg.__version__ == version("ipseg")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ipseg.nothing


def test_a_bank_in_memory_travels(model):
    again = pickle.loads(pickle.dumps(model.bank))  # noqa: S301
    assert again.categories == model.bank.categories
    for name, array in model.bank.features("cup").items():
        assert np.array_equal(array, again.features("cup")[name])
