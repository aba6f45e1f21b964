"""`ipseg plan` as a person meets it."""

import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from ipseg.config import load_config
from ipseg.errors import ConfigError, PlanError, PromptError
from ipseg.vision.images import encode_jpeg
from jobs.commands.plan import EPILOG, as_data, plan, print_plan
from pipeline.plan import preview
from pipeline.segment import Request, segment

app = typer.Typer()
app.command(epilog=EPILOG)(plan)


@pytest.fixture(scope="module")
def small_prompts(tmp_path_factory, photos):
    """One concept, in a small image: quick to describe and to look for."""
    folder = tmp_path_factory.mktemp("small-prompts")
    (folder / "cup.jpg").write_bytes(encode_jpeg(photos["cup"][::3, ::3].copy()))
    return folder


@pytest.fixture(scope="module")
def small_images(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("small-images")
    for name, photo in photos.items():
        (folder / f"{name}.jpg").write_bytes(encode_jpeg(photo[::3, ::3].copy()))
    return folder


@pytest.fixture
def ipseg_plan(ray_session, image_folder):
    """Runs the command on the images: what it printed; what it raised is raised."""

    def run(*words, images=image_folder):
        found = CliRunner(env={"COLUMNS": "200"}).invoke(
            app, ["--images", str(images), *map(str, words)], catch_exceptions=False
        )
        assert found.exit_code == 0, found.output
        return found.stdout

    return run


def test_the_plan_names_machines_stages_and_shares(ipseg_plan, prompt_folder, image_folder):
    before = sorted(image_folder.rglob("*"))
    text = ipseg_plan("--prompts", prompt_folder)
    for word in (
        "machines",
        "CPUs",
        "GPUs",
        "prompts: support",
        "match",
        "segment",
        "1 actor",
        "--calibrate",
    ):
        assert word in text
    assert sorted(image_folder.rglob("*")) == before


def test_the_engine_of_a_run_that_names_none_is_said(
    ray_session, image_folder, prompt_folder, capsys
):
    request = Request(str(image_folder), "", load_config("classical"), prompts=str(prompt_folder))
    found = preview(request, calibrated=False)
    assert as_data(found)["engine"] == {
        "name": "ray",
        "why": "this process has joined a Ray already",
    }
    print_plan(found)
    assert "engine ray: this process has joined a Ray already" in capsys.readouterr().out
    print_plan(replace(found, engine="local", why="7 images are done sooner"))
    text = " ".join(capsys.readouterr().out.split())
    assert "takes engine local: 7 images are done sooner" in text


def test_calibration_gives_costs_a_bottleneck_and_a_time(ipseg_plan, small_prompts, small_images):
    words = ("--prompts", small_prompts, "--calibrate", "--count", 1000, "--json")
    found = json.loads(ipseg_plan(*words, images=small_images))
    assert [stage["stage"] for stage in found["images"]["stages"]] == [
        *("read", "match+points+segment")  # saliency and segmenter share their regions
    ]
    assert found["costs"]["match+points+segment"]["seconds_per_row"] > 0
    guess = found["estimate"]
    assert guess["images"] == found["rows"] == 1000
    pace = max(stage["seconds_per_row"] for stage in found["costs"].values())
    assert guess["seconds"] >= 1000 * pace / found["cluster"]["cpus"]  # an actor for every core
    loads = {load["name"]: load["share"] for load in (*guess["stages"], *guess["shared"])}
    assert loads[guess["bottleneck"]] == max(loads.values())


def test_the_images_are_counted_and_nothing_is_measured_unless_asked(ipseg_plan, prompt_folder):
    batch = ("--set", "runtime.stages.match+points+segment.batch_size=2")
    found = json.loads(ipseg_plan("--prompts", prompt_folder, *batch, "--json"))
    assert (found["rows"], found["costs"], found["estimate"]) == (7, None, None)
    assert found["cluster"]["cpus"] == 2
    batches = {stage["stage"]: stage["batch_size"] for stage in found["images"]["stages"]}
    assert batches == {"read": 4, "match+points+segment": 2}


def test_gpu_hours_and_cost_are_those_of_a_measured_card(ipseg_plan, prompt_folder, tmp_path):
    batch = {"batch": 8, "card_seconds": 0.036}
    part = {"state": "done", "figures": {"precision": "bfloat16", "batches": [batch]}}
    machine = {"card": "NVIDIA H100", "tiny": False}
    figures = tmp_path / "gpu.json"
    figures.write_text(
        json.dumps(
            {"format": 1, "machine": machine, "date": "2026-11-27"}
            | {"parts": {"image dinov2": part}}
        )
    )
    words = ("--prompts", prompt_folder, "--count", 500_000, "--price", 2.5, "--json")
    of = ("--profile", "dinov2", "--figures", figures)
    found = json.loads(ipseg_plan(*words, *of))["measured"]
    assert (found["card"], found["batch"]) == ("NVIDIA H100", 8)
    assert found["gpu_hours"] == pytest.approx(5)
    assert found["gpu_hours_per_million"] == pytest.approx(10)
    assert found["cost_per_million"] == pytest.approx(25)
    assert json.loads(ipseg_plan(*words))["measured"] is None
    with pytest.raises(ConfigError, match="profile classical, which has no networks"):
        ipseg_plan(*words, "--figures", figures)


def test_a_plan_that_does_not_fit_is_refused(ipseg_plan, prompt_folder):
    with pytest.raises(PlanError, match=r"set runtime\.actors="):
        ipseg_plan("--prompts", prompt_folder, "--set", "runtime.actors=50")


def test_prompts_or_a_bank_but_not_both(ipseg_plan, prompt_folder):
    with pytest.raises(ConfigError, match="--prompt-bank"):
        ipseg_plan()
    with pytest.raises(ConfigError, match="--prompt-bank"):
        ipseg_plan("--prompts", prompt_folder, "--prompt-bank", "run/")


def test_the_prompts_of_a_run_need_no_stages_again(
    ipseg_plan, small_prompts, small_images, tmp_path
):
    request = Request(
        *(str(small_images), str(tmp_path / "run"), load_config()),
        prompts=str(small_prompts),
        engine="local",
    )
    segment(request)
    found = json.loads(ipseg_plan("--prompt-bank", tmp_path / "run", "--json"))
    assert found["prompts"] is None
    with pytest.raises(PromptError, match="was made with other settings"):
        ipseg_plan("--prompt-bank", tmp_path / "run", "--support", "none")
