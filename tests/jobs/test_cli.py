"""The command as a person meets it: exit codes, one clear error, data on stdout."""

import json
import logging
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from ipseg.vision.images import encode_jpeg, encode_png
from pipeline.runfolder.bank import bank_rows

SMALL = Path(__file__).parents[1] / "small.yaml"
QUICK = ("--profile", SMALL, "--engine", "local")


@pytest.fixture(scope="module")
def one_cup(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("one")
    (folder / "a.jpg").write_bytes(encode_jpeg(photos["cup"][:, ::-1].copy()))
    (folder / "b.jpg").write_text("not an image")
    return folder


@pytest.fixture
def finished(ipseg, one_cup, prompt_folder, tmp_path):
    out = tmp_path / "run"
    words = ["--images", one_cup, "--prompts", prompt_folder, "--out", out, *QUICK]
    return ipseg("segment", *words, "--json"), out


def test_help_has_examples_for_every_verb(ipseg):
    code, out, _ = ipseg("--help")
    assert code == 0
    verbs = ("segment", "prompts", "show", "demo", "report", "doctor", "weights", "data")
    assert all(verb in out for verb in verbs)
    assert all(verb in out for verb in ("plan", "status", "errors", "evaluate", "bench"))
    for verb in ("segment", "prompts", "show", "demo", "report", "status", "errors", "evaluate"):
        assert f"ipseg {verb} " in ipseg(verb, "--help")[1]


def test_settings_are_listed_and_searched(ipseg):
    code, out, _ = ipseg("settings", "--json")
    assert code == 0
    found = {each["key"]: each for each in json.loads(out)}
    assert found["scoring.min_score"]["default"] == 0
    assert found["matching.saliency_weight"]["type"] == "number, at least 0"
    code, out, _ = ipseg("settings", "SCORE", "written", "--set", "scoring.min_score=0.25")
    assert code == 0
    assert out.startswith("scoring.min_score = 0.25\n    number, 0 to 1: objects below this score")
    assert "points.k" not in out
    assert max(map(len, out.splitlines())) <= 80
    code, _, err = ipseg("settings", "zebra")
    assert (code, "no setting of profile 'classical' has zebra" in err) == (2, True)


def test_a_profile_that_needs_more_packages_names_them():
    script = "import sys; sys.modules['torch'] = None; from jobs.cli import main; main()"
    words = [sys.executable, "-c", script, "settings", "--profile", "ipseg"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "ipseg: this needs the package torch: pip install 'ipseg[models]'\n"


def test_the_version_is_that_of_the_package(ipseg):
    assert ipseg("--version") == (0, f"ipseg {version('ipseg')}\n", "")


def test_segment_prints_one_json_object_and_nothing_else_on_stdout(finished):
    (code, out, err), folder = finished
    assert code == 0
    result = json.loads(out)
    assert result["rows"] == {"ok": 1, "empty": 0, "failed": 1, "poisoned": 0}
    assert result["out"] == str(folder)
    assert "Traceback" not in err
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["runs"][-1]["counts"] == result["rows"]
    assert manifest["concepts"] == ["cat", "cup"]


def test_prompts_are_single_files_too(ipseg, one_cup, prompt_folder, tmp_path):
    words = ("--images", one_cup, "--out", tmp_path / "run", *QUICK, "--json")
    one = ("--prompts", prompt_folder / "cup.jpg")
    code, _, err = ipseg("segment", *words, *one, "--prompt", f"pet={prompt_folder}/cat/1.jpg")
    assert code == 0, err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["concepts"] == ["cup", "pet"]
    both = ("--prompt", f"cup={prompt_folder}/cup.jpg", "--prompt-bank", tmp_path / "run")
    assert ipseg("segment", *words, *both)[0] == 2


def test_the_same_command_goes_on_and_other_settings_are_refused(
    ipseg, finished, one_cup, prompt_folder
):
    _, out = finished
    words = ["--images", one_cup, "--prompts", prompt_folder, "--out", out, *QUICK]
    code, stdout, _ = ipseg("segment", *words, "--json", "--set", "runtime.batch_size=1")
    assert code == 0
    assert json.loads(stdout)["rows_before"] == 2
    code, _, err = ipseg("segment", *words, "--set", "points.k=16")
    assert code == 2
    assert "points.k: 32 -> 16" in err
    code, _, err = ipseg("segment", *words, "--support", "none")
    assert code == 2
    assert 'support.kind: "saliency" -> "none"' in err
    code, _, err = ipseg("segment", *words, "--retry", "failed", "--max-failure-rate", "0.2")
    assert code == 3
    assert "1 of 1 rows failed" in err
    code, _, err = ipseg("segment", *words, "--retry", "all")
    assert code == 2
    assert ipseg("segment", *words, "--overwrite")[0] == 0


def test_run_and_status_say_the_same_speed(ipseg, finished, one_cup, prompt_folder, tmp_path):
    (_, printed, _), out = finished
    metrics = json.loads(printed)
    code, status, _ = ipseg("status", out, "--json")
    assert code == 0
    assert json.loads(status)["rows_per_second"] == metrics["images_per_second"]
    words = ["--images", one_cup, "--prompts", prompt_folder, "--out", out, *QUICK]
    _, text, _ = ipseg("segment", *words, "--overwrite")
    (speed,) = re.findall(r", ([^,]* (?:images/s|s for each image)): ", text)
    assert speed in ipseg("status", out)[1]


def test_show_draws_a_row(ipseg, finished, tmp_path):
    _, out = finished
    drawing = tmp_path / "deep" / "overlay.png"
    code, stdout, _ = ipseg("show", out, "a.jpg", "--out", drawing, "--json")
    assert code == 0
    assert [o["concept"] for o in json.loads(stdout)["objects"]] == ["cup"], "the cat is far behind"
    code, stdout, _ = ipseg("show", out, "a.jpg", "--out", drawing, "--json", "--min-score", 0)
    assert {o["concept"] for o in json.loads(stdout)["objects"]} == {"cat", "cup"}
    assert drawing.read_bytes().startswith(b"\x89PNG")
    code, stdout, _ = ipseg("show", out, "a.jpg", "--out", drawing)
    assert code == 0
    assert all(word in stdout for word in ("predicted IoU", "presence", f"image: {drawing}"))
    assert "no row with key 'zzz'" in ipseg("show", out, "zzz")[2]
    assert "b.jpg failed in stage 'decode'" in ipseg("show", out, "b.jpg")[2]
    assert "has no frame 1" in ipseg("show", out, "a.jpg", "--frame", 1)[2]


def test_report_is_written(ipseg, finished):
    _, out = finished
    code, stdout, _ = ipseg("report", out)
    assert code == 0
    assert stdout.strip() == f"{out}/report.html"
    page = (out / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "cat/1.jpg" in page


def test_a_bank_is_used_again_by_its_run_folder_or_its_own(ipseg, finished, one_cup, tmp_path):
    (_, before, _), out = finished
    for number, bank in enumerate((out, out / "bank")):
        again = tmp_path / f"again-{number}"
        words = ["--images", one_cup, "--prompt-bank", bank, "--out", again, *QUICK]
        code, stdout, _ = ipseg("segment", *words, "--json")
        assert code == 0
        assert json.loads(stdout)["rows"] == json.loads(before)["rows"]
        manifest = json.loads((again / "manifest.json").read_text())
        assert manifest["bank"] == str(out / "bank")
        assert ipseg("report", again)[0] == 0
        assert "cat/1.jpg" in (again / "report.html").read_text()
    code, _, err = ipseg("segment", *words, "--overwrite", "--support", "mask")
    assert code == 1
    assert 'prompt.support.kind: "saliency" -> "mask"' in err


def test_the_object_of_a_prompt_can_be_given_by_a_point(ipseg, one_cup, prompt_folder, tmp_path):
    words = ["--images", one_cup, "--prompts", prompt_folder, *QUICK]
    points = ["--prompt-point", "cup=150,110", "--prompt-point", "cup.jpg=160,120"]
    code, _, _ = ipseg("segment", *words, *points, "--out", tmp_path / "run")
    assert code == 0
    sources = {
        row["key"]: row["prompts"][0]["mask_source"] for row in bank_rows(f"{tmp_path}/run/bank")
    }
    assert sources == {"cat/1.jpg": "mask", "cup.jpg": "point"}
    code, _, _ = ipseg("segment", *words, "--support", "none", "--out", tmp_path / "whole")
    assert code == 0
    sources = {row["prompts"][0]["mask_source"] for row in bank_rows(f"{tmp_path}/whole/bank")}
    assert sources == {"none"}


def test_comparisons_that_fail_are_said_to(ipseg, one_cup, prompt_folder, tmp_path):
    for concept in ("cat", "cup"):
        (tmp_path / "masks" / concept).mkdir(parents=True)
    (tmp_path / "masks" / "cup" / "a.png").write_bytes(encode_png(np.ones((20, 20), np.uint8)))
    words = ["--images", one_cup, "--prompts", prompt_folder, *QUICK]
    out = tmp_path / "run"
    code, stdout, _ = ipseg("segment", *words, "--masks", tmp_path / "masks", "--out", out)
    assert code == 0
    assert "1 comparison with ground truth failed" in " ".join(stdout.split())
    assert "is 20x20 pixels" in " ".join(ipseg("errors", out)[1].split())


@pytest.mark.parametrize("behind", [False, True])
def test_quiet_works_before_a_verb_and_behind_it(ipseg, one_cup, prompt_folder, tmp_path, behind):
    words = ["segment", "--images", one_cup, "--prompts", prompt_folder, *QUICK]
    words += ["--out", tmp_path / "run"]
    assert "INFO 2 prompts described" in ipseg(*words)[2]
    code, _, err = ipseg(*words, "-q") if behind else ipseg("-q", *words)
    assert code == 0
    assert "INFO" not in err
    verb = ["weights", "list", "classical"]
    assert ipseg(*verb, "--quiet")[0] == 0
    assert "--quiet" in ipseg("data", "list", "--help")[1]
    assert logging.getLogger("ipseg").level == logging.INFO, "a new call starts anew"


def test_doctor(ipseg):
    code, out, _ = ipseg("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["packages"]["ray"]
    assert found["cpus"] >= 1
    assert "classical" in found["profiles"]
    assert "(opencv-" in found["packages"]["opencv"]
    assert ipseg("doctor")[0] == 0
