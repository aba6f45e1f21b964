import io
import json
from contextlib import redirect_stdout

import pytest
import torch

from ipseg.config import load_config
from ipseg.errors import ConfigError, WeightsError
from ipseg.networks.models import Models
from ipseg.segmenters.classical import ClassicalSegmenter
from jobs.bench.concepts import COUNTS, measure
from jobs.bench.counting import CONDITIONING, count
from jobs.bench.every_profile import count_any, run_every
from jobs.bench.flops import Operations, count_profile, count_released
from jobs.bench.points import measure_points
from jobs.bench.precision import compare_precisions
from jobs.bench.run import run_bench

ODISE = "features.stable_diffusion.odise=odise_label_coco_50e-b67d2efc.pth"
SAM = ("segmenter.kind=segment_anything", "refinement.prior=none", "refinement.passes=1")


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What `ipseg bench --flops` prints and writes about `ipseg-released`, without weights."""
    folder = tmp_path_factory.mktemp("released")
    config = load_config("ipseg-released", [f"models.root={folder}"])
    with redirect_stdout(io.StringIO()) as text:
        run_bench(config, flops_only=True, as_json=False, out=folder / "out" / "bench.json")
    return text.getvalue(), json.loads((folder / "out" / "bench.json").read_text())


@pytest.fixture(scope="module")
def released(printed):
    flops = printed[1]["flops"]
    term = flops["total_with_odise"] - flops["total_without_odise"]
    return Operations(flops["image"], flops["concept"], flops["prompt"], term)


@pytest.fixture(scope="module")
def light():
    return count_of("ipseg-light")


def count_of(profile, *settings):
    config = load_config(profile, settings)
    return count_profile(config.method, config.support)


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_on_meta_is_counted_like_any_product(heads):
    def attend():
        query = torch.empty(1, heads, 100, 16)
        torch.nn.functional.scaled_dot_product_attention(query, query, query)

    assert count(attend) == 2 * 2 * heads * 100 * 100 * 16


def test_at_most_the_operations_that_were_aimed_at(released):
    assert released.without_term() <= 13.8e12
    assert released.with_term() <= 15.3e12


def test_the_released_code_is_counted_as_the_specification_has_it():
    counted = {part: operations / 1e12 for part, operations in count_released().items()}
    expected = {
        "UNet": 4 * 0.803,
        "VAE encoder": 4 * 1.117,
        "VAE decoder": 4 * 2.515,
        "CLIP of the ODISE term": 4 * 0.382,
        "text encoder": 8 * 0.013,
        "dinov2": 1.09,
        "cornet": 0.0323,
    }
    for part, operations in expected.items():
        assert counted[part] == pytest.approx(operations, rel=0.03)
    assert counted["image encoder"] + counted["mask decoder"] == pytest.approx(3 * 5.96, rel=0.01)
    assert sum(counted.values()) == pytest.approx(38.4, abs=0.1)


def test_dinov2_by_formula(released):
    tokens, width, depth = 3601, 768, 12
    block = 24 * width**2 * tokens + 4 * tokens**2 * width
    assert released.image["dinov2"] == pytest.approx(depth * block, rel=0.01)


def test_the_term_and_the_layers_that_are_set_are_counted(released):
    counted = count_of("classical", ODISE, "features.stable_diffusion.layers.s5=1")
    assert counted.image.keys() == {"UNet", "VAE encoder", CONDITIONING}
    assert 0 < counted.image["UNet"] < released.image["UNet"]
    assert counted.image["VAE encoder"] == released.image["VAE encoder"]
    assert counted.image[CONDITIONING] == released.conditioning
    assert counted.total() == counted.with_term()
    assert counted.without_term() == counted.total() - released.conditioning
    assert CONDITIONING not in released.image


def test_what_settings_leave_out_is_not_counted(released, light):
    once = count_of("classical", *SAM)
    assert once.concept["mask decoder"] < released.concept["mask decoder"] / 2
    assert "UNet" not in light.image
    assert light.conditioning == 0
    with pytest.raises(ConfigError, match="at least one share"):
        count_of("ipseg", "features.stable_diffusion.layers.s5=0")


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        *((kind, [f"features.{kind}.size=320"]) for kind in ("dinov3", "clip", "mae")),
        *(
            ("image encoder", [*SAM, "segmenter.kind=hf_sam", f"segmenter.weights={weights}"])
            for weights in ("facebook/sam2.1-hiera-tiny", "syscv-community/sam-hq-vit-base")
        ),
        ("cornet", ["saliency.kind=cornet", "matching.saliency_weight=0.5"]),
    ],
)
def test_every_part_can_be_counted(part, settings):
    counted = count_of("classical", *settings)
    assert list(counted.image) == [part]
    assert counted.total() > counted.image[part] > 1e9


def test_weights_of_unknown_size_are_one_error_and_folders_are_read(tiny_root, light):
    with pytest.raises(ConfigError, match="sizes of own/model are not known"):
        count_of("ipseg-light", "features.dinov2.weights=own/model")
    folder = tiny_root / "facebook" / "dinov2-small"
    tiny = count_of("classical", f"features.dinov2.weights={folder}")
    assert 0 < tiny.image["dinov2"] < 0.1 * light.image["dinov2"]


def test_eighty_concepts_cost_at_most_half_more_than_one(released):
    assert COUNTS[-1] == 80
    assert released.total(80) / released.total(1) <= 1.5


def test_classical_parts_have_no_operations_and_no_decoder():
    config = load_config("classical")
    operations = count_of("classical")
    assert not operations.image
    assert measure(config.method, config.models, operations) is None


def test_operations_alone_need_no_weights(printed, released):
    text, written = printed
    assert "38.392" in text
    assert "without the ODISE term: 13.67 TFLOP" in text
    assert "with the ODISE term: 15.20 TFLOP" in text
    assert written["flops"]["total"] == released.total()
    assert written["concepts"]["rows"][-1]["concepts"] == 80


def test_all_of_it(tiny_root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jobs.bench.seconds._RUNS", 1)
    monkeypatch.setattr("jobs.bench.concepts._RUNS", 1)
    settings = [f"models.root={tiny_root}", "features.dinov2.size=140", "support.saliency.size=112"]
    run_bench(load_config("ipseg-light", settings), flops_only=False, as_json=True, out=None)
    found = json.loads(capsys.readouterr().out)
    assert found["method"] == "ipseg"
    assert found["flops"]["total"] > 0
    assert found["machine"]["threads"] >= 1
    assert [(timing["part"], timing["per"]) for timing in found["seconds"]] == [
        ("support.saliency", "prompt"),
        ("features.dinov2", "image"),
        ("points", "concept"),
        ("segmenter encode", "image"),
        ("segmenter decode", "concept"),
    ]
    for timing in found["seconds"]:
        assert timing["seconds"] > 1e-3, "nothing that a part remembers of the last call counts"
        assert timing["runs"] >= 1
        assert (timing["load"] > 0) == (timing["part"] not in ("points", "segmenter decode"))
    assert found["concepts"]["measured"]["concept"] > 0
    ratios = [row["seconds_ratio"] for row in found["concepts"]["rows"]]
    assert ratios == sorted(ratios)
    assert ratios[0] == 1 < ratios[-1]
    assert found["precision"] == [], "random weights say nothing about it"
    with pytest.raises(WeightsError, match="not found"):
        run_bench(
            load_config("ipseg-light", [f"models.root={tmp_path}"]),
            flops_only=False,
            as_json=True,
            out=None,
        )


def test_masks_of_precisions_are_compared(tiny_root):
    config = load_config("persam", [f"models.root={tiny_root}"])
    exact, half = compare_precisions(config, ("bfloat16",))
    assert (exact["precision"], exact["mean_iou"], exact["same_points"]) == ("float32", 1.0, 1.0)
    assert half["precision"] == "bfloat16"
    assert 0 <= half["least_iou"] <= half["mean_iou"] <= 1


def test_of_another_method_random_weights_leave_nothing_to_measure(tiny_root, tmp_path, capsys):
    config = load_config("persam", [f"models.root={tiny_root}"])
    out = tmp_path / "bench.json"
    run_bench(config, flops_only=False, as_json=False, out=out)
    printed = capsys.readouterr().out
    assert "has method persam; --flops counts its operations" in printed
    assert "precision is not compared, since these weights are random: sam_vit_h" in printed
    found = json.loads(out.read_text())
    nothing = (None, None, [], [], None)
    assert (
        tuple(found[n] for n in ("flops", "concepts", "seconds", "precision", "points")) == nothing
    )
    run_bench(config, flops_only=True, as_json=False, out=out)
    printed, found = capsys.readouterr().out, json.loads(out.read_text())
    (row,) = _rows([config], tmp_path)
    assert found["flops"]["total"] == row["total"] > 5e12
    assert found["concepts"]["rows"][-1]["flops_ratio"] == pytest.approx(row["many"])
    assert "5.972" in printed
    assert "released code" not in printed


def _rows(configs, folder):
    """Lines of the table of profiles."""
    run_every(as_json=False, out=folder / "rows.json", configs=configs)
    return json.loads((folder / "rows.json").read_text())


def test_points_together_are_those_one_by_one():
    segmenter = load_config("persense", ["segmenter.weights=sam_vit_b_01ec64.pth"]).method.segmenter
    found = measure_points(segmenter, Models(device="cpu"), 3)
    assert (found.points, found.same) == (3, 1.0)
    assert found.difference < 1e-4
    assert found.ratio == found.alone / found.together > 0
    assert measure_points(ClassicalSegmenter(), Models()) is None


def test_a_box_around_a_prompt_is_decoded_once_by_the_segmenter(released):
    boxed = count_of("classical", *SAM, "support=box")
    assert boxed.prompt.keys() == {"segmenter of the support"}
    encoder = released.image["image encoder"]
    assert encoder < boxed.prompt["segmenter of the support"] < 1.01 * encoder


def test_every_profile_is_a_line_of_one_table(released, light, tmp_path, capsys):
    names = ("classical", "ipseg-light-sam2", "persam")
    configs = [load_config(name) for name in names]
    run_every(as_json=False, out=tmp_path / "all.json", configs=configs)
    printed = capsys.readouterr().out
    rows = {row["profile"]: row for row in json.loads((tmp_path / "all.json").read_text())}
    assert list(rows) == list(names)
    assert all(f"| {name} " in printed for name in names), "as Markdown has it"
    assert rows["classical"]["image"] == 0
    assert rows["ipseg-light-sam2"]["image"] < sum(light.image.values()) / 2
    assert rows["persam"]["image"] == released.image["image encoder"]
    assert 0 < rows["persam"]["concept"] < 0.01 * rows["persam"]["image"]
    assert rows["persam"]["left_out"] == []


def test_what_depends_on_the_image_is_said_instead_of_counted():
    sam2 = ["segmenter={kind: hf_sam, weights: facebook/sam2.1-hiera-tiny}"]
    counted = count_any(load_config("persense-classical", sam2))
    assert counted.image.keys() == {"image encoder"}
    assert not counted.concept
    assert "for each prompt given to it" in counted.left_out[0]


def test_code_from_the_hub_is_said_not_to_be_counted():
    saliency = "support.saliency={kind: birefnet, remote_code: true}"
    counted = count_of("ipseg-light", saliency)
    assert counted.left_out == ("BiRefNetSaliency",)
    assert not counted.prompt
