"""SegGPT from prompts to objects, with tiny weights of the real class."""

import numpy as np
import pytest

import ipseg
from ipseg.errors import PromptError


@pytest.fixture(scope="module")
def model(tiny_root):
    def model(*overrides):
        return ipseg.load("seggpt", [f"models.root={tiny_root}", "models.device=cpu", *overrides])

    return model


@pytest.fixture(scope="module")
def prompt(photos):
    mask = np.zeros(photos["cat"].shape[:2], bool)
    mask[40:160, 60:220] = True
    return ipseg.Prompt(photos["cat"], mask=mask)


def test_several_prompts_are_kept_and_matter(model, prompt, photos):
    mask = np.zeros(photos["cup"].shape[:2], bool)
    mask[50:150, 90:220] = True
    other = ipseg.Prompt(photos["cup"], mask=mask)
    found = {}
    for several in ("original", "transformers"):
        one = model(f"painting.several={several}")
        bank = one.set_prompts({"cat": [prompt, other], "alone": [prompt]})
        assert {name: a.shape for name, a in bank.features("cat").items()} == {
            "image": (2, 6, 6, 16),
            "mask": (2, 6, 6, 16),
        }
        found[several] = one.segment(photos["rocket"]).masks
    assert (found["original"]["alone"] == found["transformers"]["alone"]).all()
    assert (found["original"]["cat"] != found["transformers"]["cat"]).any()


def test_an_object_that_vanishes_is_no_prompt(model, photos):
    mask = np.zeros(photos["cat"].shape[:2], bool)
    mask[0, 0] = True
    with pytest.raises(PromptError, match="has 1 pixels, of which nothing is left at 96"):
        model().set_prompts({"cat": ipseg.Prompt(photos["cat"], mask=mask)})


def test_nothing_above_the_threshold_is_no_object(model, prompt, photos):
    strict = model("painting.threshold=254.9")
    strict.set_prompts({"cat": prompt})
    assert not strict.segment(photos["cup"]).objects
