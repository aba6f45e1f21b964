"""`ipseg bench --gpu` in its short form: the code that runs on a card, with tiny networks."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from jobs.bench.gpu.card import Card, datasheet
from jobs.bench.gpu.encoders import ENCODERS, Encoder
from jobs.bench.gpu.figures import read_figures
from jobs.bench.gpu.parts import Part, all_parts
from jobs.bench.gpu.run import run_gpu
from jobs.bench.gpu.summary import print_summary
from jobs.bench.gpu.sweep import sweep

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("default")  # kernels that a CPU lacks come with warnings
SHORT = (
    *("card", "encoder stable-diffusion", "image ipseg-light", "released code", "transfer"),
    *("decoder", "two actors", "variants dinov2-base", "compiled sam-vit-h"),
)
MASKS = "masks ipseg-light"


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """What a short run of every kind of part writes."""
    from jobs.bench.gpu.whole import compare_masks

    parts = [each for each in all_parts() if each.name in SHORT]
    parts.append(Part(MASKS, "", 1, lambda card: compare_masks(card, "ipseg-light")))
    parts = [replace(each, short=1000) for each in parts]  # nothing is cut short on a busy machine
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
    from jobs.bench.gpu.whole import profile_config

    channels = ENCODERS["dinov3-large"].build(card.device, tiny=True).config.hidden_size
    assert profile_config(card, "insid3").method.components < channels
    card.close()


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
    assert figures.done("compiled sam-vit-h")["compiled"]["seconds"] > 0


# One of each class; Stable Diffusion is measured above.
@pytest.mark.parametrize(
    "name",
    [
        *("sam-vit-b", "sam-vit-h-sdpa", "dinov3-large", "sam2.1-hiera-tiny", "cornet", "seggpt"),
        *("sam3", "grounding-dino", "groupvit", "countr", "dsalvanet"),
    ],
)
def test_a_network_runs_tiny_and_is_counted(name, card):
    network = ENCODERS[name].build(card.device, tiny=True)
    with card.computing("bfloat16"):
        network(ENCODERS[name].input(2, card))
    assert ENCODERS[name].operations(tiny=True) > 1e5


def test_operations_are_those_of_the_table_of_flops():
    from ipseg.methods.groupvit.network import GroupVitNetwork
    from jobs.bench.method_parts import used

    assert ENCODERS["dinov2-base"].operations(tiny=False) == pytest.approx(1.09e12, rel=0.03)
    counted = used(GroupVitNetwork(), None).operations["groupvit"]
    window = ENCODERS["groupvit"].operations(tiny=False)
    assert window * ENCODERS["groupvit"].per_image == pytest.approx(counted, rel=0.01)


class Ideal(Card):
    """A card on which a call takes `base` seconds, and one more for each image of the batch."""

    base = 0.0

    def fitting(self, run, batch):
        run(batch)
        return {"asked": batch, "batch": batch, "seconds": self.base + batch, "peak_gb": None}


@pytest.mark.parametrize(("base", "batches"), [(0, [1, 2, 4, 8]), (100, [1, 2, 4, 8, 16, 32])])
def test_larger_batches_are_measured_as_long_as_they_pay(base, batches):
    card = Ideal(torch.device("cpu"), tiny=True)
    card.base = base
    found = sweep(card, ENCODERS["dinov2-base"], 32)["points"]
    assert [each["batch"] for each in found if each["precision"] == "bfloat16"] == batches
    assert [each["batch"] for each in found if each["precision"] == "float32"] == [1, 8]


class OnlyIn16Bits(Encoder):
    """A network that float32 is too much for."""

    def build(self, device, *, tiny):
        def network(pixels):
            if not torch.is_autocast_enabled("cpu"):
                raise RuntimeError("no kernel\nfor float32")

        return network

    def operations(self, *, tiny):
        return 1


def test_a_precision_that_a_network_does_not_have_costs_no_other(card):
    encoder = OnlyIn16Bits(**vars(ENCODERS["dinov2-base"]))
    *others, last = sweep(card, encoder, 2)["points"]
    assert [each["batch"] for each in others] == [1, 2]
    assert last == {"precision": "float32", "batch": 0, "error": "RuntimeError: no kernel"}


def test_no_call_is_added_when_the_time_of_the_part_is_over(card):
    late = replace(card, runs=10, patience=60, deadline=0)
    assert late.measure(lambda: None)["runs"] == 1
    assert not late.affords(1)
    assert card.affords(1e9)


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


def test_the_summary_of_tiny_networks_speaks_of_no_card(figures):
    console = Console(file=io.StringIO())
    print_summary(console, figures)
    text = console.file.getvalue()
    assert "no number here says anything about a card" in text
    assert not any(word in text for word in ("goal", "card's"))


def test_the_first_name_that_fits_has_the_datasheet():
    assert datasheet("NVIDIA H100 80GB HBM3", "bfloat16") == 989
    assert datasheet("NVIDIA L40S", "tf32") == 183
    assert datasheet("NVIDIA L4", "float32") == 30.3
    assert datasheet("x86_64 CPU", "float32") is None


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

names = ("dinov2-small", "sam-vit-b", "stable-diffusion")
chosen = [parts.Part(name, "", 1, partial(parts._sweep, name, 2)) for name in names]
run.run_gpu(Path(OUT), 60, short=True, parts=chosen)
"""


def test_a_bare_machine_without_ray_measures_what_it_can(tmp_path):
    out = tmp_path / "figures.json"
    code = BARE.replace("OUT", repr(str(out)))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    states = {name: each["state"] for name, each in read_figures(out).parts.items()}
    assert states == {"dinov2-small": "done", "sam-vit-b": "skipped", "stable-diffusion": "skipped"}
    assert "diffusers" in read_figures(out).parts["stable-diffusion"]["reason"]
