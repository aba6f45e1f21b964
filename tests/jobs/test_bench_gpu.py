"""`ipseg bench --gpu` in its short form: the code that runs on a card, with tiny networks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ipseg.errors import ConfigError, FailureBudgetError, OutputError
from jobs.bench.gpu.card import Card, datasheet
from jobs.bench.gpu.encoders import ENCODERS
from jobs.bench.gpu.figures import pace_in, read_figures
from jobs.bench.gpu.parts import Part, all_parts
from jobs.bench.gpu.run import print_plan, run_gpu
from jobs.commands.bench import bench

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("default")  # kernels that a CPU lacks come with warnings
SHORT = (
    *("card", "encoder stable-diffusion", "image ipseg-light", "released code", "transfer"),
    *("decoder", "two actors", "variants dinov2-base", "compiled dinov2-base"),
)
MASKS = "masks ipseg-light"


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """What a short run of every kind of part writes."""
    from jobs.bench.gpu.whole import compare_masks

    parts = [each for each in all_parts() if each.name in SHORT]
    parts.append(Part(MASKS, "", 1, lambda card: compare_masks(card, "ipseg-light")))
    out = tmp_path_factory.mktemp("gpu") / "figures.json"
    run_gpu(out, 3600, short=True, parts=parts)
    return read_figures(out)


@pytest.fixture
def card():
    return Card(torch.device("cpu"), tiny=True, runs=1, patience=0)


def test_every_kind_of_part_is_measured_through_the_code_of_a_card(figures):
    assert {name: each["state"] for name, each in figures.parts.items()} == dict.fromkeys(
        [*SHORT, MASKS], "done"
    )
    assert figures.machine["tiny"]


def test_an_encoder_has_its_rate_memory_and_share_of_the_peak(figures):
    found = figures.done("encoder stable-diffusion")
    assert [(each["precision"], each["batch"]) for each in found["points"]][:2] == [
        ("bfloat16", 1),
        ("bfloat16", 2),
    ]
    peaks = figures.done("card")["peaks"]
    for point in found["points"]:
        rate = found["operations"] * point["batch"] / point["seconds"]
        assert point["tflops"] == pytest.approx(rate / 1e12)
        assert point["share_of_measured_peak"] == pytest.approx(rate / peaks[point["precision"]])
        assert point["images_per_second"] == pytest.approx(point["batch"] / point["seconds"] / 4)


def test_an_image_is_timed_step_by_step(figures):
    (batch,) = figures.done("image ipseg-light")["batches"]
    assert batch["failed"] == 0
    assert {"decode", "match", "points", "segment"} <= batch["seconds_by_step"].keys()
    steps = batch["seconds_by_step"]
    assert batch["card_seconds"] == pytest.approx(steps["match"] + steps["segment"])


def test_of_tiny_networks_fewer_components_are_taken_out_than_they_have_channels(card):
    from jobs.bench.gpu.whole import measure_profile

    (batch,) = measure_profile(card, "insid3")["batches"]
    card.close()
    assert batch["failed"] == 0


def test_the_released_code_encodes_three_times_and_crop_by_crop(figures):
    parts = figures.done("released code")["parts"]
    assert parts.keys() >= {"UNet", "VAE encoder", "VAE decoder", "sam-vit-h", "dinov2-base"}
    assert figures.done("released code")["seconds"] == pytest.approx(sum(parts.values()))


def test_masks_of_each_precision_are_held_against_float32(figures):
    exact, half = figures.done(MASKS)
    assert (exact["precision"], exact["mean_iou"]) == ("float32", 1)
    assert half["precision"] == "bfloat16"
    assert 0 <= half["mean_iou"] <= 1
    assert half["failed"] == 0


def test_variants_are_timed_or_say_why_not(figures):
    found = {each["variant"]: each for each in figures.done("variants dinov2-base")["variants"]}
    assert found["as it is"]["seconds"] > 0
    assert found["channels last"]["seconds"] > 0
    assert "weights in bfloat16" in found
    assert "error" in found["attention kernel: cudnn"]
    assert figures.done("compiled dinov2-base")["compiled"]["seconds"] > 0


# One of each class; Stable Diffusion is measured above.
@pytest.mark.parametrize(
    "name", ["sam-vit-b", "sam-vit-h-sdpa", "dinov2-giant", "sam2.1-hiera-tiny", "cornet"]
)
def test_an_encoder_runs_tiny_and_is_counted(name, card):
    network = ENCODERS[name].build(card.device, tiny=True)
    with card.computing("bfloat16"):
        network(ENCODERS[name].input(2, card))
    assert ENCODERS[name].operations(tiny=True) > 1e6


def test_operations_are_those_of_the_table_of_flops():
    assert ENCODERS["dinov2-base"].operations(tiny=False) == pytest.approx(1.09e12, rel=0.03)


def test_out_of_memory_halves_the_batch_and_goes_on(card):
    tried = []

    def run(batch):
        tried.append(batch)
        if batch > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    found = card.fitting(run, 16)
    assert (found["asked"], found["batch"]) == (16, 2)
    assert list(dict.fromkeys(tried)) == [16, 8, 4, 2]
    assert card.fitting(lambda _: run(4), 2) == {"asked": 2, "batch": 0}


def test_a_stop_loses_one_part_and_a_second_call_goes_on(tmp_path):
    out, done = tmp_path / "figures.json", []

    def part(name, run=lambda: None):
        def measure(card):
            run()
            done.append(name)
            return name

        return Part(name, "", 1, measure)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_gpu(out, 60, short=True, parts=[part("a"), part("b", stop)])
    assert list(read_figures(out).parts) == ["a"]
    run_gpu(out, 60, short=True, parts=[part("a"), part("b"), Part("c", "", 1e6, done.append)])
    assert done == ["a", "b"]
    assert read_figures(out).parts["c"]["state"] == "left"


def test_a_part_that_fails_or_lacks_a_package_costs_no_other(tmp_path):
    out = tmp_path / "figures.json"

    def without(card):
        import no_such_package  # noqa: F401

    def broken(card):
        raise RuntimeError("CUDA error")

    parts = [Part("without", "", 1, without), Part("broken", "", 1, broken)]
    parts.append(Part("good", "", 1, lambda card: 7))
    with pytest.raises(FailureBudgetError, match="1 of 3 parts failed: broken"):
        run_gpu(out, 60, short=True, parts=parts)
    found = read_figures(out)
    assert found.parts["without"]["state"] == "skipped"
    assert "no_such_package" in found.parts["without"]["reason"]
    assert found.parts["broken"]["reason"] == "RuntimeError: CUDA error"
    assert found.done("good") == 7


def test_figures_of_another_machine_are_not_gone_on_with(tmp_path):
    out = tmp_path / "figures.json"
    run_gpu(out, 60, short=True, parts=[])
    figures = read_figures(out) if out.exists() else None
    assert figures is None, "nothing was measured, so nothing is written"
    run_gpu(out, 60, short=True, parts=[Part("a", "", 1, lambda card: 1)])
    data = json.loads(out.read_text())
    data["machine"]["card"] = "NVIDIA H100 80GB HBM3"
    out.write_text(json.dumps(data))
    with pytest.raises(OutputError, match="another machine"):
        run_gpu(out, 60, short=True, parts=[])
    out.write_text("{}")
    with pytest.raises(OutputError, match="no figures"):
        run_gpu(out, 60, short=True, parts=[])


def test_the_plan_lists_every_part_within_the_budget(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    print_plan(600, None)
    text = capsys.readouterr().out
    assert all(part.name in text for part in all_parts())
    together = float(text.rpartition(" s of a budget of 600 s")[0].split()[-1])
    assert 550 < together <= 600


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_only_the_short_form_runs(tmp_path):
    with pytest.raises(ConfigError, match="--short"):
        run_gpu(tmp_path / "figures.json", 60, short=False)


def test_the_first_name_that_fits_has_the_datasheet():
    assert datasheet("NVIDIA H100 80GB HBM3", "bfloat16") == 989
    assert datasheet("NVIDIA L40S", "tf32") == 183
    assert datasheet("NVIDIA L4", "float32") == 30.3
    assert datasheet("x86_64 CPU", "float32") is None


def test_the_pace_is_that_of_the_best_batch(tmp_path):
    batches = [{"batch": b, "card_seconds": s} for b, s in ((1, 0.5), (4, 0.2), (16, 0.3))]
    part = {"state": "done", "figures": {"precision": "bfloat16", "batches": batches}}
    data = {"format": 1, "machine": {"card": "H100", "tiny": False}, "date": "2026-11-27"}
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(data | {"parts": {"image ipseg": part}}))
    pace = pace_in(path, "ipseg")
    assert (pace.batch, pace.gpu_hours(18_000)) == (4, 1.0)
    with pytest.raises(ConfigError, match="no figures of profile classical"):
        pace_in(path, "classical")
    data["machine"]["tiny"] = True
    path.write_text(json.dumps(data | {"parts": {}}))
    with pytest.raises(ConfigError, match="tiny networks say nothing"):
        pace_in(path, "ipseg")


BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ray", "diffusers", "segment_anything"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from functools import partial
from pathlib import Path

import jobs.cli  # the command itself
from jobs.bench.gpu import parts, run

names = ("dinov2-base", "sam-vit-b", "stable-diffusion")
run.run_gpu(
    Path(OUT), 60, short=True, parts=[parts.Part(n, "", 1, partial(parts._sweep, n)) for n in names]
)
"""


def test_a_bare_machine_without_ray_measures_what_it_can(tmp_path):
    out = tmp_path / "figures.json"
    code = BARE.replace("OUT", repr(str(out)))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    states = {name: each["state"] for name, each in read_figures(out).parts.items()}
    assert states == {"dinov2-base": "done", "sam-vit-b": "skipped", "stable-diffusion": "skipped"}
    assert "diffusers" in read_figures(out).parts["stable-diffusion"]["reason"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpu": True}, "by --out FILE"),
        ({"gpu": True, "flops": True, "out": Path("gpu.json")}, "measured alone"),
        ({"plan": True}, "add --gpu"),
        ({"budget": 60.0, "flops": True}, "add --gpu"),
    ],
)
def test_options_of_the_card_and_others_do_not_mix(options, said):
    with pytest.raises(ConfigError, match=said):
        bench(**options)
