"""Boxes from names, with tiny weights of the real class."""

import shutil

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, GroundingDinoForObjectDetection

from ipseg.detectors.grounding_dino import GroundingDino, to_input
from ipseg.errors import WeightsError
from ipseg.networks.models import Models

NAME = "IDEA-Research/grounding-dino-tiny"


@pytest.fixture(scope="module")
def detector(tiny_root):
    found = GroundingDino(short_side=128, threshold=0.5)
    found.setup(Models(root=str(tiny_root), device="cpu"))
    return found


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((400, 600), (800, 1200)),
        ((600, 400), (1200, 800)),
        ((500, 1000), (666, 1332)),  # 1333 at most: 666.5 rounds to even
        ((333, 500), (800, 1201)),  # cut off
        ((64, 64), (800, 800)),
        ((4, 9000), (1, 2250)),
    ],
)
def test_images_are_resized_to_800_but_not_beyond_1333(size, wanted):
    pixels = to_input(np.zeros((*size, 3), np.uint8), 800, 1333)
    assert pixels.shape == (1, 3, *wanted)


def test_boxes_are_those_of_the_whole_network_for_each_caption(detector, tiny_root, photos):
    """One pass of the backbone changes nothing in what the class itself gives."""
    image = photos["cup"]
    whole = GroundingDinoForObjectDetection.from_pretrained(tiny_root / NAME).eval()
    words = BertTokenizer.from_pretrained(tiny_root / NAME)
    (encoded,) = detector.encode([image])
    for caption in ("Cup", "all cups", "a white cup of coffee."):
        found = detector.detect(encoded, caption)
        text = caption.lower().rstrip(".") + "."
        with torch.inference_mode():
            wanted = whole(
                pixel_values=to_input(image, 128, 1333), **words(text, return_tensors="pt")
            )
        scores = wanted.logits[0].sigmoid().max(dim=1).values.numpy()
        chosen = scores > 0.5
        x, y, width, height = wanted.pred_boxes[0].numpy()[chosen].T
        corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
        size = [image.shape[1], image.shape[0]] * 2
        assert len(found.boxes) > 0
        np.testing.assert_allclose(found.scores, scores[chosen], atol=1e-5)
        np.testing.assert_allclose(found.boxes, corners * size, atol=1e-2)


def test_captions_differ_and_a_long_one_is_cut(detector, photos):
    (encoded,) = detector.encode([photos["cup"]])
    one, other = (detector.detect(encoded, name) for name in ("cup", "spoon"))
    assert not np.array_equal(one.scores, other.scores)
    long = detector.detect(encoded, "cup " * 400)
    assert np.isfinite(long.boxes).all()


def test_what_is_not_sure_enough_is_no_box(tiny_root, photos):
    strict = GroundingDino(short_side=128, threshold=1.0)
    strict.setup(Models(root=str(tiny_root), device="cpu"))
    found = strict.detect(strict.encode([photos["cup"]])[0], "cup")
    assert found.boxes.shape == (0, 4)


def test_a_folder_without_words_is_refused(tiny_root, tmp_path):
    shutil.copytree(tiny_root / NAME, tmp_path / "dino")
    for name in ("vocab.txt", "tokenizer_config.json"):
        (tmp_path / "dino" / name).unlink()
    with pytest.raises(WeightsError, match="dino"):
        GroundingDino(weights=str(tmp_path / "dino")).setup(Models(device="cpu"))
