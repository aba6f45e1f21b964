"""The network against the library's own classes, with tiny weights of the real class."""

import numpy as np
import pytest
import torch
from transformers import SegGptForImageSegmentation, SegGptImageProcessor

from ipseg.methods.seggpt.network import SegGptNetwork, enlarged, levels
from ipseg.networks.models import Models

KINDS = ("instance", "semantic")


@pytest.fixture(scope="module")
def part(tiny_root):
    part = SegGptNetwork()
    part.setup(Models(root=str(tiny_root), device="cpu"))
    return part


@pytest.fixture(scope="module")
def library(tiny_root):
    name = str(tiny_root / "BAAI/seggpt-vit-large")
    return SegGptForImageSegmentation.from_pretrained(name).eval()


@pytest.fixture(scope="module")
def examples(photos):
    """Images with the masks of something in them."""
    found = []
    for image, (y, x) in ((photos["cat"], (90, 140)), (photos["rocket"], (100, 170))):
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        found.append((image, (rows - y) ** 2 + (columns - x) ** 2 < 60**2))
    return found


@pytest.fixture(scope="module")
def inputs(part, photos, examples):
    """What the library makes of the same images, squashed as here."""
    side = {"height": part.side, "width": part.side}
    return SegGptImageProcessor(size=side)(
        images=[part.squashed(photos["cup"])] * 2,
        prompt_images=[part.squashed(image) for image, _ in examples],
        prompt_masks=[part.squashed_mask(mask).astype(np.uint8) for _, mask in examples],
        num_labels=1,
        return_tensors="pt",
    )


def painted(part, photos, examples, *settings):
    (target,) = part.encode([photos["cup"]])
    prompts = torch.stack([part.encode([image])[0] for image, _ in examples])
    masks = [part.encode_mask(part.squashed_mask(mask)) for _, mask in examples]
    return part.paint(target, prompts, torch.stack(masks), *settings)


def asked(library, inputs, count, **settings):
    with torch.inference_mode():
        return library(**{name: t[:count] for name, t in inputs.items()}, **settings).pred_masks


def half_differs(found, expected):
    """The largest difference in the half that is the answer."""
    answer = found.shape[2] // 2
    return float((found - expected)[:, :, answer:].abs().max())


@pytest.mark.parametrize("embedding", KINDS)
def test_one_prompt_is_the_librarys(part, library, photos, examples, inputs, embedding):
    expected = asked(library, inputs, 1, embedding_type=embedding)
    for several in ("original", "transformers", "apart"):
        found = painted(part, photos, examples[:1], embedding, several)
        assert half_differs(found, expected) < 1e-4
    other = asked(library, inputs, 1, embedding_type=KINDS[embedding == "instance"])
    assert half_differs(other, expected) > 0.2


def test_several_prompts_by_the_library_and_apart(part, library, photos, examples, inputs):
    together, apart = (
        asked(library, inputs, 2, embedding_type="semantic", feature_ensemble=ensemble)
        for ensemble in (True, False)
    )
    found = painted(part, photos, examples, "semantic", "transformers")
    assert half_differs(found, together) < 1e-4
    assert half_differs(painted(part, photos, examples, "semantic", "apart"), apart) < 1e-4
    assert half_differs(together, apart) > 0.05


def test_the_original_averages_images_and_masks_apart_in_the_layer_that_merges_them(
    part, library, photos, examples, inputs
):
    """The one difference between the library and the original, as found by running both."""

    def as_two_streams(_, given):
        hidden, _, *rest = given
        return (hidden, 2, *rest)

    layer = library.model.encoder.layers[library.config.merge_index]
    hook = layer.register_forward_pre_hook(as_two_streams)
    expected = asked(library, inputs, 2, feature_ensemble=True)
    hook.remove()
    assert half_differs(painted(part, photos, examples, "instance", "original"), expected) < 1e-4
    assert half_differs(asked(library, inputs, 2, feature_ensemble=True), expected) > 0.05


def test_grey_levels_give_the_librarys_mask(part, library, photos, inputs):
    with torch.inference_mode():
        outputs = library(**{name: tensor[:1] for name, tensor in inputs.items()})
    size = photos["cup"].shape[:2]
    (expected,) = SegGptImageProcessor().post_process_semantic_segmentation(
        outputs, target_sizes=[size], num_labels=1
    )
    found = enlarged(levels(outputs.pred_masks[0]), size) > 127.5
    assert 0.01 < expected.float().mean() < 0.99
    assert torch.equal(found, expected.bool())


def test_images_are_squashed_as_by_the_library_but_for_rounding(part, photos):
    side = {"height": part.side, "width": part.side}
    plain = SegGptImageProcessor(size=side, do_normalize=False, do_rescale=False)
    (expected,) = plain(images=[photos["cup"]], return_tensors="np")["pixel_values"]
    found = part.squashed(photos["cup"]).transpose(2, 0, 1).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_an_image_is_embedded_once(part, photos):
    images = [photos["cup"], photos["cat"]]
    first = part.encode(images)
    assert all(a is b for a, b in zip(first, part.encode(images), strict=True))
