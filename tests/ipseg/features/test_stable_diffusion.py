"""Features of a tiny Stable Diffusion equal those of whole models."""

import pickle

import numpy as np
import pytest
import torch

from ipseg.errors import ConfigError
from ipseg.features.stable_diffusion import StableDiffusion
from ipseg.networks.models import Models
from ipseg.vision.letterbox import letterbox


@pytest.mark.parametrize("timestep", [100, 50])
def test_sliding_windows_equal_whole_models(diffusion, checkpoint, noise_images, timestep):
    extractor = diffusion.ready(checkpoint, timestep=timestep)
    for image, found in zip(noise_images, extractor.features(noise_images), strict=True):
        states = diffusion.entering_states(
            checkpoint, diffusion.windows(letterbox(image, diffusion.SIZE)), timestep
        )
        diffusion.assert_near(found, diffusion.averaged(states))
        assert {layer: f.shape[-1] for layer, f in found.items()} == diffusion.CELLS
        assert all(f.dtype == torch.float32 for f in found.values())


def test_a_single_window_equals_whole_models(diffusion, checkpoint, noise_images):
    found = diffusion.ready(checkpoint, window="single").features(noise_images[:1])[0]
    pixels = (
        torch.from_numpy(letterbox(noise_images[0], diffusion.SIZE)).permute(2, 0, 1)[None] / 255
    )
    states = diffusion.entering_states(checkpoint, pixels)
    diffusion.assert_near(found, {layer: state[0] for layer, state in states.items()})


def test_a_batch_of_four_windows_equals_single_windows(diffusion, checkpoint, noise_images):
    extractors = [diffusion.ready(checkpoint, batch=batch) for batch in (1, 3, 4, 8)]
    alone, *together = [extractor.features(noise_images) for extractor in extractors]
    for found in together:
        for a, b in zip(alone, found, strict=True):
            diffusion.assert_near(b, a)


def test_half_precision_is_close_and_returned_as_float32(diffusion, checkpoint, noise_images):
    extractor = StableDiffusion(weights=str(checkpoint), size=diffusion.SIZE, crop=diffusion.CROP)
    extractor.setup(Models(device="cpu", precision="bfloat16"))
    found = extractor.features(noise_images[:1])[0]
    exact = diffusion.ready(checkpoint).features(noise_images[:1])[0]
    for layer, states in exact.items():
        assert found[layer].dtype == torch.float32
        assert not torch.equal(found[layer], states)
        assert torch.cosine_similarity(found[layer], states, dim=0).mean() > 0.999


def test_every_window_and_image_gets_the_same_noise(diffusion, checkpoint):
    extractor = diffusion.ready(checkpoint)
    expected = torch.randn(
        1, 4, diffusion.CROP, diffusion.CROP, generator=torch.Generator().manual_seed(42)
    )
    assert torch.equal(extractor._network.noise, expected)
    grey = np.full((diffusion.CROP, diffusion.CROP, 3), 90, np.uint8)
    first, *others = extractor._states([grey] * 4) + extractor._states([grey])
    for other in others:
        torch.testing.assert_close(other, first, atol=1e-5, rtol=0)
    assert torch.equal(first["s3"], diffusion.ready(checkpoint)._states([grey] * 4)[0]["s3"])
    assert not torch.allclose(
        first["s3"], diffusion.ready(checkpoint, seed=7)._states([grey])[0]["s3"]
    )


def test_prompts_and_images_are_compared(diffusion, checkpoint, noise_images):
    extractor = StableDiffusion(weights=str(checkpoint), size=diffusion.SIZE, crop=diffusion.CROP)
    extractor = pickle.loads(pickle.dumps(extractor))  # noqa: S301
    extractor.setup(Models(device="cpu"))
    assert extractor.layer_weights == {"s5": 0.3, "s4": 0.2, "s3": 0.1}
    mask = np.zeros(noise_images[0].shape[:2], np.float32)
    mask[10:30, 15:45] = 1
    bank = [extractor.merge([extractor.prompt_features(noise_images[0], mask)])]
    found = extractor.compare(noise_images, bank, [(6, 9), (8, 5)])
    assert [s.maps.shape for s in found] == [(1, 6, 9), (1, 8, 5)]
    assert all(np.isfinite(s.maps).all() for s in found)


def test_layers_without_a_weight_are_not_run(diffusion, checkpoint, noise_images):
    extractor = diffusion.ready(checkpoint, layers={"s3": 0.0, "s5": 1.0})
    assert extractor.layer_weights == {"s5": 1.0}
    found = extractor.features(noise_images[:1])[0]
    assert torch.equal(found["s5"], diffusion.ready(checkpoint).features(noise_images[:1])[0]["s5"])
    assert list(found) == ["s5"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 28}, "size is 28 pixels; it must be a multiple of 8"),
        ({"crop": 12}, "crop is 12 pixels; it must be a multiple of 8"),
        ({"crop": 32}, "crop is 32 pixels; .* at most 24"),
        ({"timestep": 1000}, "timestep is 1000; the model has 0 to 999"),
        ({"layers": {"s5": 0.0}}, "at least one weight"),
    ],
)
def test_invalid_settings_are_refused(diffusion, checkpoint, settings, message):
    with pytest.raises(ConfigError, match=message):
        diffusion.ready(checkpoint, **settings)


@torch.inference_mode()
def test_pixels_plane_after_plane_lose_no_bit(diffusion, checkpoint, noise_images):
    extractor = diffusion.ready(checkpoint, window="single")
    pixels = torch.from_numpy(letterbox(noise_images[0], diffusion.SIZE)).permute(2, 0, 1)[None]
    planes = extractor._network((pixels / 255).contiguous())
    for layer, found in extractor.features(noise_images[:1])[0].items():
        assert torch.equal(found, planes[layer][0])
