"""ODISE's term in the time embedding."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms
from transformers import CLIPVisionModelWithProjection

from ipseg.errors import WeightsError
from ipseg.vision.letterbox import letterbox


def test_odise_without_strength_changes_no_bit(
    diffusion, checkpoint, odise_clip, noise_images, tmp_path
):
    file, _ = diffusion.odise_file(tmp_path, torch.zeros(diffusion.TIME))
    plain = diffusion.ready(checkpoint).features(noise_images)
    conditioned = diffusion.ready(checkpoint, odise=str(file), odise_clip=str(odise_clip)).features(
        noise_images
    )
    for a, b in zip(plain, conditioned, strict=True):
        assert all(torch.equal(a[layer], b[layer]) for layer in diffusion.CELLS)


@torch.inference_mode()
def test_odise_equals_a_restatement(diffusion, checkpoint, odise_clip, noise_images, tmp_path):
    alpha = torch.linspace(-2, 2, diffusion.TIME)
    file, tensors = diffusion.odise_file(tmp_path, alpha)
    extractor = diffusion.ready(checkpoint, odise=str(file), odise_clip=str(odise_clip))

    crops = diffusion.windows(letterbox(noise_images[0], diffusion.SIZE))
    resized = transforms.resize(crops, 20, InterpolationMode.BICUBIC, antialias=False)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    network = CLIPVisionModelWithProjection.from_pretrained(odise_clip).eval()
    embeddings = network(transforms.normalize(resized, mean, std)).image_embeds
    weight = tensors["time_embed_project.linear.weight"]
    bias = tensors["time_embed_project.linear.bias"]
    position = tensors["time_embed_project.positional_embedding"]
    term = torch.tanh(alpha) * (embeddings @ weight.T + bias + position[:, 0])
    assert term.std(dim=0).max() > 0.1  # each window has its own

    states = diffusion.entering_states(checkpoint, crops, time_term=term)
    found = extractor.features(noise_images[:1])[0]
    diffusion.assert_near(found, diffusion.averaged(states))
    plain = diffusion.ready(checkpoint).features(noise_images[:1])[0]
    assert (found["s5"] - plain["s5"]).abs().max() > 0.01


def test_files_other_than_odise_checkpoints_are_refused(
    diffusion, checkpoint, odise_clip, tmp_path
):
    file, _ = diffusion.odise_file(tmp_path, torch.zeros(diffusion.TIME + 1))
    with pytest.raises(WeightsError, match=r"alpha_cond_time_embed has shape \(33,\), expected"):
        diffusion.ready(checkpoint, odise=str(file), odise_clip=str(odise_clip))
    torch.save({"alpha": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match="is not an ODISE checkpoint: 4 of 4 tensors missing"):
        diffusion.ready(checkpoint, odise=str(file), odise_clip=str(odise_clip))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"odise.pth cannot be read"):
        diffusion.ready(checkpoint, odise=str(file), odise_clip=str(odise_clip))
    torch.save({"model": print}, file)
    with pytest.raises(WeightsError, match=r"odise.pth cannot be read .*could run code"):
        diffusion.ready(checkpoint, odise=str(file), odise_clip=str(odise_clip))
