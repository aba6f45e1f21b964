"""The plan of `ipseg bench --gpu`, its budget, and its file of figures: no network runs here."""

import io
import json
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console

from ipseg.config import load_config
from ipseg.errors import ConfigError, FailureBudgetError, OutputError
from jobs.bench.gpu.figures import MEASURED, Figures, pace_in, read_figures
from jobs.bench.gpu.parts import Part, all_parts
from jobs.bench.gpu.run import print_plan, run_gpu
from jobs.bench.gpu.summary import goals, print_summary
from jobs.commands.bench import bench

ROOT = Path(__file__).parents[2]


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
    run_gpu(
        out, 60, short=True, parts=[part("a"), part("b"), Part("c", "", 1, done.append, short=1e6)]
    )
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


def test_the_plan_has_every_part_within_the_budget_and_a_reserve(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    print_plan(600, None, short=False)
    text = capsys.readouterr().out
    assert all(part.name in text for part in all_parts())
    assert "another call" not in text
    assert sum(part.seconds for part in all_parts()) <= 0.96 * 600
    images = {part.name for part in all_parts() if part.name.startswith("image ")}
    assert {"image ipseg", "image sine-objects", "image persense", "image sam3"} <= images
    assert not {"image classical", "image sine-video"} & images


def test_what_a_smaller_budget_leaves_out_is_listed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    print_plan(60, None, short=False)
    text = capsys.readouterr().out
    (sam,) = (line for line in text.splitlines() if "encoder sam-vit-h " in line)
    (last,) = (line for line in text.splitlines() if "image matcher " in line)
    assert "another call" not in sam
    assert "for another call" in last
    left = len(re.findall("for another call [^w]", text))
    assert f"{left} parts are for another call" in text


def test_the_short_form_has_estimates_of_its_own(tmp_path):
    long = Part("long", "", 1e6, lambda card: 1, short=0.1)
    out = tmp_path / "figures.json"
    run_gpu(out, 5, short=True, parts=[long])
    assert read_figures(out).done("long") == 1


def test_a_part_without_time_says_what_it_needs(tmp_path):
    out = tmp_path / "figures.json"
    run_gpu(out, 1e-9, short=True, parts=[Part("a", "", 9, lambda card: 1, short=7)])
    assert read_figures(out).parts["a"] == {
        "state": "left",
        "reason": "needs about 7 s, of the budget 0 s were left",
    }


def test_networks_are_kept_for_parts_that_use_them_and_no_others(tmp_path):
    found = {}

    def part(name, keeps):
        def run(card):
            found[name] = card.kept
            card.kept = name

        return Part(name, "", 1, run, keeps=keeps)

    parts = [part("a", keeps=True), part("b", keeps=True), part("c", keeps=False)]
    run_gpu(tmp_path / "figures.json", 60, short=True, parts=parts)
    assert found == {"a": None, "b": "a", "c": None}


def test_the_goals_are_held_against_the_figures_of_a_card():
    encoder = {"images_per_second": 9.0, "tflops": 300.0, "batch": 8, "peak_gb": 7.0}
    half = encoder | {"precision": "bfloat16", "share_of_measured_peak": 0.6}
    batches = [{"batch": 4, "card_seconds": 0.1, "images_per_second": 5.0}]
    effect = {"precision": "bfloat16", "mean_iou": 0.99}
    done = {
        "encoder sam-vit-h": {"points": [half | {"share_of_datasheet": 0.4}]},
        "image ipseg": {"precision": "bfloat16", "batches": batches},
        "released code": {"seconds": 1.2},
        "masks ipseg": [effect],
    }
    parts = {name: {"state": "done", "figures": each} for name, each in done.items()}
    parts["two actors"] = {"state": "left", "reason": ""}
    figures = Figures({"card": "NVIDIA H100", "tiny": False}, "2026-11-28", parts)
    assert [line.partition(" (goal")[0] for line in goals(figures)] == [
        "images of `ipseg` a second against the released code's networks: 12.0 times",
        "sam-vit-h: 60% of the card's measured peak in 16 bits, 40% of the datasheet's",
        "masks in bfloat16: mean IoU 0.990 with float32",
    ]
    console = Console(file=io.StringIO(), width=150)
    print_summary(console, figures)
    text = console.file.getvalue()
    assert "| sam-vit-h | bfloat16  | 8     | 9.0" in text
    assert "4 parts measured; left: two actors; the same command goes on" in text


def test_the_readme_states_what_was_measured_on_a_card():
    readme = (ROOT / "README.md").read_text()
    if MEASURED.exists():
        figures = read_figures(MEASURED)
        assert f"measured on {figures.machine['card']}, {figures.date}" in readme
        assert all(line in readme for line in goals(figures))
    else:
        assert "nothing was measured on a GPU yet" in readme


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_only_the_short_form_runs(tmp_path):
    with pytest.raises(ConfigError, match="--short"):
        run_gpu(tmp_path / "figures.json", 60, short=False)


def test_the_pace_is_that_of_the_best_batch(tmp_path):
    batches = [{"batch": b, "card_seconds": s} for b, s in ((1, 0.5), (4, 0.2), (16, 0.3))]
    part = {"state": "done", "figures": {"precision": "bfloat16", "batches": batches}}
    data = {"format": 1, "machine": {"card": "H100", "tiny": False}, "date": "2026-11-27"}
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(data | {"parts": {"image ipseg": part}}))
    pace = pace_in(path, load_config("ipseg"))
    assert (pace.batch, pace.gpu_hours(18_000)) == (4, 1.0)
    with pytest.raises(ConfigError, match=r"profile sine \(.* has those of ipseg\): go on"):
        pace_in(path, load_config("sine"))
    with pytest.raises(ConfigError, match=r"classical, which has no networks.*name another"):
        pace_in(path, load_config("classical"))
    with pytest.raises(ConfigError, match="sine-video, which takes sequences"):
        pace_in(path, load_config("sine-video"))
    data["machine"]["tiny"] = True
    path.write_text(json.dumps(data | {"parts": {}}))
    with pytest.raises(ConfigError, match="tiny networks say nothing"):
        pace_in(path, load_config("ipseg"))


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
