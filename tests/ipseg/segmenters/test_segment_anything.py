"""SAM through its package, compared to the predictor of the package."""

import pickle

import numpy as np
import pytest
import skimage.data
import torch
from segment_anything import SamPredictor, build_sam_vit_b, build_sam_vit_h, build_sam_vit_l

from ipseg.errors import ConfigError, WeightsError
from ipseg.networks.models import Models
from ipseg.segmenters.prompt import PointPrompt
from ipseg.segmenters.sam_architecture import recognise
from ipseg.segmenters.segment_anything import SegmentAnything

BOX = np.array([30.5, 20, 210, 140])


@pytest.fixture(scope="module")
def photos():
    """Four sizes and both orientations."""
    coffee = skimage.data.coffee()
    return [
        coffee[::2, ::2],
        np.ascontiguousarray(coffee[:300, 200:360]),
        coffee[:90, :90],
        skimage.data.chelsea(),
    ]


@pytest.fixture(scope="module")
def letterbox(sam_pth, models):
    segmenter = SegmentAnything(weights=sam_pth)
    segmenter.setup(models)
    return segmenter


@pytest.fixture(scope="module")
def squash(sam_pth, models):
    segmenter = SegmentAnything(weights=sam_pth, aspect="squash")
    segmenter.setup(models)
    return segmenter


@pytest.fixture(scope="module")
def predictor(golden):
    sam = golden.TINY.build()
    sam.load_state_dict(golden.tiny_state(), assign=True)
    return SamPredictor(sam.eval())


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("box", [None, BOX])
@pytest.mark.parametrize("again", [False, True])
def test_letterbox_equals_the_predictor_of_the_package(
    letterbox, predictor, golden, photos, multimask, box, again
):
    photo, points = photos[0], golden.POINTS * 0.7
    predictor.set_image(photo)
    mask_input = predictor.predict(points, golden.LABELS)[2][:1] if again else None
    masks, iou, logits = predictor.predict(
        points, golden.LABELS, box, mask_input, multimask_output=multimask
    )

    decoded = letterbox.decode(
        letterbox.encode([photo])[0],
        points,
        golden.LABELS,
        boxes=box,
        mask_input=None if mask_input is None else mask_input[0],
        multimask=multimask,
    )

    assert decoded.masks.shape == (3 if multimask else 1, *photo.shape[:2])
    np.testing.assert_allclose(decoded.low_res_logits, logits, atol=1e-4)
    np.testing.assert_allclose(decoded.predicted_iou, iou, atol=1e-4)
    assert (decoded.masks != masks).mean() < 1e-4


def test_logits_are_enlarged_as_in_the_package(letterbox, predictor, golden, photos):
    predictor.set_image(photos[1])
    points = golden.POINTS * 0.6
    full, _, low = predictor.predict(points, golden.LABELS, return_logits=True)
    frame = letterbox.encode([photos[1]])[0].frame
    np.testing.assert_allclose(frame.enlarge(torch.from_numpy(low)), full, atol=1e-6)


@pytest.mark.parametrize("index", range(4))
def test_an_image_comes_to_the_features_by_the_package_s_own_way(
    letterbox, predictor, photos, index
):
    embedding = letterbox.encode([photos[index]])[0]
    other = np.ascontiguousarray(photos[index][::-1])
    fitted = torch.from_numpy(predictor.transform.apply_image(other)).permute(2, 0, 1)
    pixels = predictor.model.preprocess(fitted[None].float())
    # Two pixels of 16 along each axis.
    middle = pixels.unfold(2, 16, 16).unfold(3, 16, 16)[..., 7:9, 7:9].mean(dim=(-2, -1))
    np.testing.assert_allclose(letterbox.on_features(embedding, other), middle[0], atol=1e-5)
    predictor.set_image(photos[index])
    torch.testing.assert_close(
        letterbox.feature_map(embedding), predictor.features[0], atol=1e-5, rtol=1e-4
    )
    with pytest.raises(ValueError, match="encoded image"):
        letterbox.on_features(embedding, other[1:])


@pytest.mark.parametrize("kind", ["letterbox", "squash"])
def test_a_batch_of_images_of_many_sizes_equals_single_images(
    kind, request, photos, golden, monkeypatch
):
    segmenter = request.getfixturevalue(kind)
    with monkeypatch.context() as as_on_a_gpu:
        as_on_a_gpu.setattr(segmenter, "_at_once", None)
        together = segmenter.encode(photos)
    for photo, embedding in zip(photos, together, strict=True):
        alone = segmenter.encode([photo])[0]
        assert embedding.frame == alone.frame
        torch.testing.assert_close(embedding.features, alone.features, atol=1e-5, rtol=1e-4)
        points = golden.POINTS / 3
        batched, single = (segmenter.decode(e, points, golden.LABELS) for e in (embedding, alone))
        np.testing.assert_allclose(batched.low_res_logits, single.low_res_logits, atol=1e-4)
        assert batched.masks.shape == (3, *photo.shape[:2])
        assert (batched.masks != single.masks).mean() < 1e-4


def test_on_a_cpu_results_do_not_depend_on_the_batch(letterbox, photos, golden):
    together = letterbox.encode(photos)
    prompts = [PointPrompt(golden.POINTS + shift, golden.LABELS) for shift in (0, 5)]
    answers = letterbox.decode_many(together[1], prompts)
    alone = letterbox.encode(photos[1:2])[0]
    for prompt, answer in zip(prompts, answers, strict=True):
        single = letterbox.decode(alone, prompt.coords, prompt.labels)
        assert np.array_equal(answer.low_res_logits, single.low_res_logits)


def test_squash_scales_each_axis_separately(squash, golden):
    photo = golden.photo()
    wide = np.repeat(photo, 2, axis=1)  # linear interpolation of equal pairs gives them back
    scale = np.array([2, 1])
    box = np.array([40, 50, 200, 210])
    narrow = squash.decode(squash.encode([photo])[0], golden.POINTS, golden.LABELS, boxes=box)
    broad = squash.decode(
        squash.encode([wide])[0],
        golden.POINTS * scale,
        golden.LABELS,
        boxes=box * np.tile(scale, 2),
    )
    assert np.array_equal(narrow.low_res_logits, broad.low_res_logits)
    assert np.array_equal(narrow.frame_masks, broad.frame_masks)
    assert broad.masks.shape == (3, 256, 512)
    assert (broad.masks[:, :, ::2] != narrow.masks).mean() < 0.03


def test_an_image_of_the_network_s_size_gives_the_same_masks_in_and_out_of_the_frame(
    squash, golden
):
    decoded = squash.decode(squash.encode([golden.photo()])[0], golden.POINTS, golden.LABELS)
    assert decoded.masks.any()
    assert np.array_equal(decoded.masks, decoded.frame_masks)


def test_half_precision_changes_few_pixels(sam_pth, golden, squash):
    half = SegmentAnything(weights=sam_pth, aspect="squash")
    half.setup(Models(device="cpu", precision="bfloat16"))
    embedding = half.encode([golden.photo()])[0]
    assert embedding.features[0].dtype == torch.float32
    decoded = half.decode(embedding, golden.POINTS, golden.LABELS)
    exact = squash.decode(squash.encode([golden.photo()])[0], golden.POINTS, golden.LABELS)
    assert decoded.low_res_logits.dtype == np.float32
    assert not np.array_equal(decoded.low_res_logits, exact.low_res_logits)
    assert (decoded.masks != exact.masks).mean() < 0.02


@pytest.mark.parametrize(
    ("build", "numbers"),
    [
        (build_sam_vit_b, (768, 12, 12, (2, 5, 8, 11))),
        (build_sam_vit_l, (1024, 24, 16, (5, 11, 17, 23))),
        (build_sam_vit_h, (1280, 32, 16, (7, 15, 23, 31))),
    ],
)
def test_published_networks_are_recognised_by_their_shapes(build, numbers):
    with torch.device("meta"):
        published = build().state_dict()
    found = recognise(published, "sam.pth")
    assert (found.width, found.depth, found.heads, found.global_blocks) == numbers
    assert (found.side, found.patch, found.window, found.mlp) == (1024, 16, 14, 4 * found.width)
    ours = found.build().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in published.items()}


def test_a_small_network_is_recognised_without_a_configuration(golden):
    assert recognise(golden.tiny_state(), "sam.pth") == golden.TINY


def test_a_damaged_or_foreign_file_is_one_clear_error(golden, sam_pth, models, tmp_path):
    def fails(path, match):
        with pytest.raises(WeightsError, match=match) as error:
            SegmentAnything(weights=str(path)).setup(models)
        assert str(path) in str(error.value)

    cut = tmp_path / "cut.pth"
    with open(sam_pth, "rb") as whole:  # noqa: PTH123
        cut.write_bytes(whole.read(100_000))
    fails(cut, "truncated")

    code = tmp_path / "code.pth"
    torch.save(print, code)
    fails(code, "refused: .*could run code")

    resnet = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, resnet)
    fails(resnet, "not a Segment Anything checkpoint .* 'image_encoder.pos_embed'")

    lacking = golden.tiny_state()
    del lacking["mask_decoder.iou_token.weight"]
    partial = tmp_path / "partial.pth"
    torch.save(lacking, partial)
    fails(partial, "1 missing .mask_decoder.iou_token.weight")

    other = golden.tiny_state() | {"mask_decoder.hf_token.weight": torch.zeros(1, 64)}
    quality = tmp_path / "hq.pth"
    torch.save(other, quality)
    fails(quality, "1 not of this model .mask_decoder.hf_token.weight")


def test_a_similarity_map_is_not_a_mask_input(letterbox, photos, golden):
    embedding = letterbox.encode(photos[:1])[0]
    with pytest.raises(ConfigError, match=r"\(64, 64\), not a map of \(60, 60\).*prior=none"):
        letterbox.decode(
            embedding, golden.POINTS, golden.LABELS, mask_input=np.zeros((60, 60), np.float32)
        )


def test_it_can_be_pickled_before_setup(sam_pth):
    there = pickle.loads(pickle.dumps(SegmentAnything(weights=sam_pth, aspect="squash")))  # noqa: S301
    assert there == SegmentAnything(weights=sam_pth, aspect="squash")
    with pytest.raises(RuntimeError, match="setup"):
        there.encode([np.zeros((16, 16, 3), np.uint8)])
