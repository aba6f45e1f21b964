"""The SAM family of transformers, in tiny."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from tiny_sams import KINDS, tiny, write_sam3
from transformers import Sam3TrackerModel, SamModel

from ipseg.errors import WeightsError
from ipseg.segmenters.hf_sam import HFSam
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.refinement import Refinement
from ipseg.segmenters.segment_anything import SegmentAnything
from ipseg.weights.sam_config import transformers_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        tiny(kind).save_pretrained(root / kind)
    return root


@pytest.fixture(scope="module", params=KINDS)
def segmenter(request, folder, models):
    segmenter = HFSam(weights=str(folder / request.param))
    segmenter.setup(models)
    return segmenter


@pytest.fixture(scope="module")
def photos():
    coffee = skimage.data.coffee()
    return [coffee[::2, ::2], np.ascontiguousarray(coffee[:200, :128])]


POINTS = np.array([[60, 70], [100, 40], [10, 15]], np.float32)
LABELS = np.array([1, 1, 0])
MAPS = [np.zeros((60, 60), np.float32)]


@pytest.fixture(scope="module")
def both(sam_pth, golden, sam_names, models, tmp_path_factory):
    """The same weights through `segment_anything` and through `hf_sam`."""
    released = SegmentAnything(weights=sam_pth)
    released.setup(models)
    converted = SamModel(transformers_config(golden.TINY))
    converted.load_state_dict(sam_names.to_transformers(golden.tiny_state()))
    folder = tmp_path_factory.mktemp("converted")
    converted.save_pretrained(folder)
    theirs = HFSam(weights=str(folder))
    theirs.setup(models)
    return released, theirs


@pytest.mark.parametrize("aspect", ["letterbox", "squash"])
@pytest.mark.parametrize("passes", [1, 3])
def test_the_same_weights_give_the_same_masks_as_the_released_package(both, golden, aspect, passes):
    photo = (
        skimage.data.coffee()
    )  # large, so that one borderline pixel is less than 0.001 of a mask
    answers = []
    for segmenter in both:
        segmenter.aspect = aspect
        embedding = segmenter.encode([photo])[0]
        points = golden.POINTS * 1.5
        prompt = PointPrompt(points, golden.LABELS)
        answers += Refinement(passes=passes).run_many(segmenter, embedding, [prompt], MAPS)
    ours, theirs = answers
    np.testing.assert_allclose(ours.low_res_logits, theirs.low_res_logits, atol=1e-3)
    np.testing.assert_allclose(ours.predicted_iou, theirs.predicted_iou, atol=1e-4)
    assert ours.masks.any(axis=(1, 2)).any()
    for one, other in zip(ours.masks, theirs.masks, strict=True):
        assert (one & other).sum() >= 0.999 * (one | other).sum()


def test_decoding_from_the_embedding_equals_the_whole_model(segmenter, photos):
    model, side = segmenter._network, segmenter._side
    square = np.ascontiguousarray(photos[1][:side, :side])
    embedding = segmenter.encode([square])[0]
    box = np.array([20, 30, 90, 100])
    plain = segmenter.decode(embedding, POINTS, LABELS)
    again = segmenter.decode(
        embedding, POINTS, LABELS, boxes=box, mask_input=plain.low_res_logits[0], multimask=False
    )

    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    if isinstance(model, Sam3TrackerModel):
        mean, std = 0.5, 0.5
    pixels = torch.from_numpy((square / 255 - mean) / std).float().permute(2, 0, 1)[None]
    points = {
        "pixel_values": pixels,
        "input_points": torch.from_numpy(POINTS)[None, None],
        "input_labels": torch.from_numpy(LABELS)[None, None],
    }
    more = {
        "input_boxes": torch.from_numpy(box).float()[None, None],
        "input_masks": torch.from_numpy(plain.low_res_logits[0])[None, None],
    }
    with torch.inference_mode():
        whole = [
            model(**points, multimask_output=True),
            model(**points, **more, multimask_output=False),
        ]
    for ours, theirs in zip((plain, again), whole, strict=True):
        np.testing.assert_allclose(ours.low_res_logits, theirs.pred_masks[0, 0], atol=1e-4)
        np.testing.assert_allclose(ours.predicted_iou, theirs.iou_scores[0, 0], atol=1e-4)
        assert ours.masks.shape[1:] == (side, side)


def test_the_feature_map_is_the_embedding_that_is_decoded(segmenter, photos):
    embedding = segmenter.encode(photos[:1])[0]
    assert segmenter.feature_map(embedding).shape == (64, 8, 8)
    assert segmenter.on_features(embedding, photos[0]).shape == (3, 8, 8)


def test_images_together_are_as_each_alone(segmenter, photos, monkeypatch):
    with monkeypatch.context() as as_on_a_gpu:
        as_on_a_gpu.setattr(segmenter, "_at_once", None)
        together = segmenter.encode(photos)
    for photo, embedding in zip(photos, together, strict=True):
        alone = segmenter.encode([photo])[0]
        torch.testing.assert_close(embedding.features, alone.features, atol=1e-5, rtol=1e-4)
        decoded = segmenter.decode(embedding, POINTS, LABELS)
        assert decoded.masks.shape == (len(decoded.predicted_iou), *photo.shape[:2])
        assert decoded.low_res_logits.shape[1:] == (32, 32)


def test_a_batch_of_prompts_equals_single_prompts_in_three_passes(segmenter, photos, monkeypatch):
    embedding = segmenter.encode(photos[:1])[0]
    prompts = [PointPrompt(POINTS + shift, LABELS) for shift in (0, 20, 40)]
    refinement = Refinement(passes=3)
    with monkeypatch.context() as as_on_a_gpu:
        as_on_a_gpu.setattr(segmenter, "_at_once", None)
        together = list(refinement.run_many(segmenter, embedding, prompts, MAPS * 3))
    for prompt, answer in zip(prompts, together, strict=True):
        (alone,) = refinement.run_many(segmenter, embedding, [prompt], MAPS)
        assert answer.masks.shape == (1, *photos[0].shape[:2])
        np.testing.assert_allclose(answer.low_res_logits, alone.low_res_logits, atol=1e-3)
        assert (answer.masks != alone.masks).mean() < 1e-3


def test_each_network_gets_the_aspect_of_its_training(folder, models, photos):
    filled = {}
    for kind in ("sam", "sam2", "sam3_tracker"):
        segmenter = HFSam(weights=str(folder / kind))
        segmenter.setup(models)
        filled[kind] = segmenter.encode(photos[:1])[0].frame.inside
    assert filled == {"sam": (85, 128), "sam2": (128, 128), "sam3_tracker": (112, 112)}


def test_published_sam2_folders_of_video_models_are_accepted(folder, models, photos, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / "sam2" / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "sam2_video"}))
    decoded = []
    for weights in (tmp_path, folder / "sam2"):
        segmenter = HFSam(weights=str(weights))
        segmenter.setup(models)
        decoded.append(segmenter.decode(segmenter.encode(photos[:1])[0], POINTS, LABELS))
    assert np.array_equal(decoded[0].low_res_logits, decoded[1].low_res_logits)


@pytest.fixture(scope="module")
def sam3(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam3")
    return write_sam3(folder), folder


def test_of_the_published_sam3_folder_the_tracker_is_used(sam3, models, photos):
    whole, folder = sam3
    segmenter = HFSam(weights=str(folder))
    segmenter.setup(models)
    assert isinstance(segmenter._network, Sam3TrackerModel)
    (embedding,) = segmenter.encode(photos[:1])

    frame = np.asarray(Image.fromarray(photos[0]).resize((112, 112), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(frame / 127.5 - 1).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        seen = whole.detector_model.get_vision_features(pixels)
        maps, _ = whole.get_vision_features_for_tracker(seen)
        maps[-1] = maps[-1] + whole.tracker_model.no_memory_embedding
    for ours, theirs in zip(embedding.features, maps, strict=True):
        flat = ours.flatten(2).permute(2, 0, 1)
        torch.testing.assert_close(flat, theirs, atol=1e-4, rtol=1e-3)
    decoded = segmenter.decode(embedding, POINTS, LABELS)
    assert decoded.masks.shape == (3, *photos[0].shape[:2])
    assert decoded.low_res_logits.shape == (3, 32, 32)


def test_a_damaged_or_foreign_folder_is_one_clear_error(folder, models, tmp_path):
    def fails(match):
        with pytest.raises(WeightsError, match=match) as error:
            HFSam(weights=str(tmp_path)).setup(models)
        assert str(tmp_path) in str(error.value)

    fails("no config.json")
    config = json.loads(Path(folder / "sam" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    fails("type 'dinov2', expected sam or")
    (tmp_path / "config.json").write_text(json.dumps(config))
    fails("cannot be read")
    weights = (folder / "sam" / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:50_000])
    fails("cannot be read")
    other = (folder / "sam2" / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(other)
    fails("does not fit SamModel: .* tensors missing")
