"""SAM 3 by example, with tiny weights of the real classes."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPTokenizer, Sam3ImageProcessor, Sam3Model, Sam3Processor

import ipseg
from ipseg.config import load_config
from ipseg.methods.sam3.canvas import Canvas
from ipseg.methods.sam3.network import NO_NAME, Sam3Network
from ipseg.networks.models import Models

SIDE = 112


@pytest.fixture(scope="module")
def part(tiny_root):
    part = Sam3Network()
    part.setup(Models(root=str(tiny_root), device="cpu"))
    return part


@pytest.fixture(scope="module")
def model(tiny_root):
    def model(*overrides):
        settings = [f"models.root={tiny_root}", "models.device=cpu", "answer.threshold=0"]
        return ipseg.load("sam3", [*settings, *overrides])

    return model


@pytest.fixture(scope="module")
def prompt(photos):
    mask = np.zeros(photos["cat"].shape[:2], bool)
    mask[40:160, 60:220] = True
    return ipseg.Prompt(photos["cat"], mask=mask)


@pytest.mark.parametrize("caption", [NO_NAME, "a cup"])
def test_candidates_are_those_of_the_library(part, tiny_root, photos, caption):
    layout = Canvas().layout(2, SIDE)
    canvas = layout.paste([photos["cat"], photos["rocket"]], photos["cup"])
    boxes = layout.boxes(np.array([[0.2, 0.1, 0.7, 0.8], [0.4, 0.3, 0.6, 0.9]], np.float32))
    found = part.find(part.encode(canvas, [canvas]), boxes, caption, 0.05)

    name = str(tiny_root / "facebook/sam3")
    library = Sam3Model.from_pretrained(name).eval()
    processor = Sam3Processor(
        Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}),
        CLIPTokenizer.from_pretrained(name),
    )
    inputs = processor(
        images=Image.fromarray(canvas),
        text=None if caption == NO_NAME else caption,
        input_boxes=[(boxes * SIDE).tolist()],
        return_tensors="pt",
    )
    with torch.inference_mode():
        outputs = library(**inputs)
    (expected,) = processor.post_process_instance_segmentation(
        outputs, threshold=0.05, target_sizes=[(SIDE, SIDE)]
    )
    order = expected["scores"].argsort(descending=True)
    assert len(order) > 1
    torch.testing.assert_close(found.scores, expected["scores"][order], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.boxes * SIDE, expected["boxes"][order], atol=1e-3, rtol=0)


def test_a_name_is_read_where_it_is_wanted(model, prompt, photos):
    scores = {}
    for label, more in {
        "none": (),
        "name": ("text=name",),
        "same": ("text=name", "names.cat=visual"),
    }.items():
        one = model(*more)
        one.set_prompts({"cat": prompt})
        scores[label] = [found.score for found in one.segment(photos["cup"]).objects]
    assert scores["none"]
    assert scores["none"] == scores["same"] != scores["name"]


def test_examples_share_a_canvas(model, prompt, photos):
    mask = np.zeros(photos["rocket"].shape[:2], bool)
    mask[60:200, 100:180] = True
    one = model("answer.task=semantic")
    bank = one.set_prompts({"cat": [prompt, ipseg.Prompt(photos["rocket"], mask=mask)]})
    features = bank.features("cat")
    assert features["image 0"].shape == photos["cat"].shape
    assert features["image 1"].shape == photos["rocket"].shape
    height, width = mask.shape
    box = [100 / width, 60 / height, 180 / width, 200 / height]
    np.testing.assert_allclose(features["boxes"][1], box, atol=1e-6)
    (found,) = one.segment(photos["cup"]).objects
    assert found.mask.shape == photos["cup"].shape[:2]
    assert 0 <= found.evidence["example_iou"] <= 1


def test_a_canvas_is_encoded_once_for_all_settings(part, photos):
    canvas = Canvas().layout(1, SIDE).paste([photos["cat"]], photos["cup"])
    batch = [photos["cup"]]
    first = part.encode(canvas, batch)
    assert part.encode(canvas.copy(), batch) is first
    assert part.encode(255 - canvas, batch) is not first
    assert part.encode(canvas, [photos["cat"]]) is not first, "other images are at work"


def test_collections_are_labelled_by_instances_on_most_of_the_canvas(tiny_root):
    settings = ipseg.load("sam3", [f"models.root={tiny_root}"]).config.method
    assert (settings.answer.task, settings.canvas.share_of_one) == ("instance", 0.3)
    benchmarks = load_config("sam3").method
    assert (benchmarks.answer.task, benchmarks.canvas.share_of_one) == ("semantic", 0.6)
