"""With tiny weights of the real classes: what is encoded once, and what batches change."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ipseg.bank import PromptsInMemory
from ipseg.columns import to_table
from ipseg.config import load_config
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.methods.persense.decoding import once, prompts_at, refined
from ipseg.methods.persense.similarity import attention
from ipseg.networks.models import Models
from ipseg.runner import prepare, run_local
from ipseg.segmenters.prompt import Guidance
from ipseg.segmenters.refinement import again, only
from ipseg.segmenters.segment_anything import SegmentAnything
from ipseg.vision.images import encode_png


@pytest.fixture(scope="module")
def segmenter(tiny_root):
    found = SegmentAnything(weights="sam_vit_b_01ec64.pth")
    found.setup(Models(root=str(tiny_root), device="cpu"))
    return found


@pytest.fixture(scope="module")
def guidance(segmenter):
    random = np.random.default_rng(8)
    grid = segmenter._side // 16
    attending = random.random((grid, grid), dtype=np.float32)
    return Guidance(attending, random.standard_normal(64).astype(np.float32))


def best(answers):
    return [int(np.argmax(each.predicted_iou)) for each in answers]


@pytest.mark.parametrize("count", [1, 16, 40])
def test_points_together_give_what_each_gives_alone(segmenter, guidance, photos, count):
    (embedding,) = segmenter.encode([photos["cup"]])
    height, width = photos["cup"].shape[:2]
    random = np.random.default_rng(count)
    points = np.stack([random.integers(0, width, count), random.integers(0, height, count)], 1)
    segmenter._at_once = None  # as on a GPU: all of a batch at once
    together = list(refined(segmenter, embedding, points, guidance))
    plain = list(once(segmenter, embedding, points))
    segmenter._at_once = 1
    for point, two, one in zip(prompts_at(points), together, plain, strict=True):
        guided = segmenter.decode_guided(embedding, [point], [guidance])
        first = only(guided[0], best(guided)[0])
        for answer, alone in (
            (two, segmenter.decode_many(embedding, [again(point, first)])),
            (one, segmenter.decode_many(embedding, [point])),
        ):
            wanted = only(alone[0], best(alone)[0])
            assert len(alone[0].masks) == 3
            assert answer.masks.shape == wanted.masks.shape == (1, height, width)
            assert (answer.masks != wanted.masks).mean() < 1e-3
            logits = wanted.low_res_logits
            np.testing.assert_allclose(answer.low_res_logits, logits, rtol=0, atol=1e-4)
            np.testing.assert_allclose(answer.predicted_iou, wanted.predicted_iou, atol=1e-5)


def test_attention_is_stretched_over_the_padding_only_as_released():
    full = np.linspace(-1, 1, 40 * 80, dtype=np.float32).reshape(40, 80)
    grid = np.zeros((16, 16), np.float32)
    grid[:8] = full[2::5, 2::5]  # the upper half of the square
    fixed, released = (attention(full, grid, how) for how in ("fixed", "released"))
    assert fixed[7, 8] > 0.7
    assert fixed[12, 8] == pytest.approx(0.5, abs=0.05)
    assert released[7, 8] < 0.5
    assert released[15, 8] > 0.7


def stored(row):
    """The bytes that a run has of a row."""
    sink = pa.BufferOutputStream()
    pq.write_table(to_table([row], ["objects", "crowds"]), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("profile", ["persense", "persense-released"])
def test_each_network_sees_an_image_once_whatever_the_number_of_points(
    tiny_root, photos, prompt_folder, profile
):
    settings = [f"models.root={tiny_root}", "models.device=cpu", "detector.short_side=96"]
    config = load_config(profile, [*settings, "support=none"])
    prompts = [{"key": n, "concept": n, "uri": f"{prompt_folder}/cup.jpg"} for n in ("cup", "mug")]
    chain = prompt_chains({"": config}).steps
    prepare(chain)
    bank = PromptsInMemory(list(run_local(chain, prompts)), config.method.merge)
    steps = image_chain({"": config}, {"": bank})
    prepare(steps)
    parts = {type(p).__name__: p for step in steps for p in step.networks}
    names = {"SegmentAnything": "image_encoder", "GroundingDino": "model.backbone.backbone"}
    names |= {"CounTR": "patch_embed", "DSALVANet": "backbone"}
    seen: Counter[str] = Counter()

    def watch(name):
        module = parts[name]._network.get_submodule(names[name])
        return module.register_forward_hook(lambda *_: seen.update([name]))

    hooks = [watch(name) for name in parts]
    row = {"key": "a", "uri": "a", "image_bytes": encode_png(photos["cup"][:160, :160])}
    (done,) = run_local(steps, [row])
    for hook in hooks:
        hook.remove()
    (again,) = run_local(steps, [row])
    assert stored(again) == stored(done), "the noise of DSALVANet has a seed"
    assert len(done["crowds"]) == 2
    assert sum(len(crowd.points) for crowd in done["crowds"]) >= 2
    assert len(parts) == 3
    tiles = seen.pop("CounTR", 1)
    assert tiles in (1, 10), "a square image is one window; small exemplars add its nine tiles"
    assert set(seen.values()) == {1}


def test_any_segmenter_and_counter_go_together_without_a_detector(tiny_root, photos, prompt_folder):
    settings = [f"models.root={tiny_root}", "models.device=cpu", "support=none", "detector=null"]
    settings += ["segmenter.kind=hf_sam", "segmenter.weights=facebook/sam2.1-hiera-tiny"]
    settings += ["segmenter.aspect=null", "counter={kind: correlation}"]
    config = load_config("persense", settings)
    chain = prompt_chains({"": config}).steps
    prepare(chain)
    prompt = {"key": "cup", "concept": "cup", "uri": f"{prompt_folder}/cup.jpg"}
    bank = PromptsInMemory(list(run_local(chain, [prompt])), config.method.merge)
    steps = image_chain({"": config}, {"": bank})
    prepare(steps)
    row = {"key": "a", "uri": "a", "image_bytes": encode_png(photos["cup"][:160, :160])}
    (done,) = run_local(steps, [row])
    (crowd,) = done["crowds"]
    assert len(crowd.points) or crowd.ended
    assert crowd.named is crowd.gate is None
    assert "error_message" not in done
