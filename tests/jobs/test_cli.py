"""The command as a person meets it: exit codes, one clear error, data on stdout."""

import json
import subprocess
import sys

import pytest

from ipseg.vision.images import encode_jpeg
from jobs.cli import main


@pytest.fixture
def ipseg(monkeypatch, capfd):
    """Runs the command in this process: (exit code, stdout, stderr)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["ipseg", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="module")
def one_cup(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp("one")
    (folder / "a.jpg").write_bytes(encode_jpeg(photos["cup"][:, ::-1].copy()))
    (folder / "b.jpg").write_text("not a picture")
    return folder


@pytest.fixture
def finished(ipseg, one_cup, prompt_folder, tmp_path):
    out = tmp_path / "run"
    words = ["--images", one_cup, "--prompts", prompt_folder, "--out", out, "--engine", "local"]
    return ipseg("segment", *words, "--json"), out


def test_help_has_examples_for_every_verb(ipseg):
    code, out, _ = ipseg("--help")
    assert code == 0
    verbs = ("segment", "prompts", "show", "demo", "report", "doctor", "weights", "data")
    assert all(verb in out for verb in verbs)
    assert all(verb in out for verb in ("plan", "status", "errors", "evaluate", "bench"))
    for verb in ("segment", "prompts", "show", "demo", "report", "status", "errors", "evaluate"):
        assert f"ipseg {verb} " in ipseg(verb, "--help")[1]


def test_segment_prints_one_json_object_and_nothing_else_on_stdout(finished):
    (code, out, err), folder = finished
    assert code == 0
    result = json.loads(out)
    assert result["rows"] == {"ok": 1, "empty": 0, "skipped": 0, "failed": 1, "poisoned": 0}
    assert result["out"] == str(folder)
    assert "Traceback" not in err
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["runs"][-1]["counts"] == result["rows"]
    assert manifest["concepts"] == ["cat", "cup"]


def test_the_same_command_goes_on_and_other_settings_are_refused(
    ipseg, finished, one_cup, prompt_folder
):
    _, out = finished
    words = ["--images", one_cup, "--prompts", prompt_folder, "--out", out, "--engine", "local"]
    code, stdout, _ = ipseg("segment", *words, "--json", "--set", "runtime.batch_size=1")
    assert code == 0
    assert json.loads(stdout)["rows_before"] == 2
    code, _, err = ipseg("segment", *words, "--set", "points.k=16")
    assert code == 2
    assert "points.k: 32 -> 16" in err
    code, _, err = ipseg("segment", *words, "--retry", "failed", "--max-failure-rate", "0.2")
    assert code == 3
    assert "1 of 1 rows failed" in err
    code, _, err = ipseg("segment", *words, "--retry", "all")
    assert code == 2
    assert ipseg("segment", *words, "--overwrite")[0] == 0


def test_show_draws_a_row(ipseg, finished, tmp_path):
    _, out = finished
    picture = tmp_path / "deep" / "overlay.png"
    code, stdout, _ = ipseg("show", out, "a.jpg", "--out", picture, "--json")
    assert code == 0
    assert [o["concept"] for o in json.loads(stdout)["objects"]] == ["cup"], "the cat is far behind"
    code, stdout, _ = ipseg("show", out, "a.jpg", "--out", picture, "--json", "--min-score", 0)
    assert {o["concept"] for o in json.loads(stdout)["objects"]} == {"cat", "cup"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "no row with key 'zzz'" in ipseg("show", out, "zzz")[2]
    assert "failed in stage 'decode'" in ipseg("show", out, "b.jpg")[2]


def test_report_is_written(ipseg, finished):
    _, out = finished
    code, stdout, _ = ipseg("report", out)
    assert code == 0
    assert stdout.strip() == f"{out}/report.html"
    assert (out / "report.html").read_text().startswith("<!doctype html>")


def test_prompts_are_shown(ipseg, prompt_folder, tmp_path):
    picture = tmp_path / "prompts.png"
    code, out, _ = ipseg("prompts", prompt_folder, "--out", picture, "--json")
    assert code == 0
    found = {item["key"]: item["mask_source"] for item in json.loads(out)["prompts"]}
    assert found == {"cat/1.jpg": "given", "cup.jpg": "saliency"}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_doctor(ipseg):
    code, out, _ = ipseg("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["packages"]["ray"]
    assert found["cpus"] >= 1
    assert "classical" in found["profiles"]
    assert "(opencv-" in found["packages"]["opencv"]
    assert ipseg("doctor")[0] == 0


def wrong_calls(tmp_path, one_cup, prompt_folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "cup.jpg").write_text("not a picture")
    (tmp_path / "file").write_text("")
    good = {"--images": one_cup, "--prompts": prompt_folder, "--out": tmp_path / "run"}
    return {
        "prompt folder empty": ({**good, "--prompts": empty}, 1, "no prompt image in"),
        "prompt unreadable": ({**good, "--prompts": tmp_path / "bad"}, 1, "cup.jpg cannot be used"),
        "output not writable": ({**good, "--out": tmp_path / "file" / "x"}, 1, "cannot write to"),
        "no image matched": ({**good, "--images": empty}, 1, "no image matched"),
        "images missing": ({**good, "--images": empty / "x"}, 1, "does not exist"),
        "no prompts": ({**good, "--prompts": None}, 2, "either --prompts or --prompt-bank"),
        "unknown setting": ({**good, "--set": "points.kk=1"}, 2, "did you mean 'points.k'"),
        "unknown profile": ({**good, "--profile": "clasical"}, 2, "did you mean 'classical'"),
        "unknown engine": ({**good, "--engine": "spark"}, 2, "use ray or local"),
        "masks missing": ({**good, "--masks": empty / "x"}, 1, "mask folder"),
        "masks without concepts": ({**good, "--masks": empty}, 1, "has no folder 'cat'"),
        "no fsspec protocol": ({**good, "--images": "nope://x"}, 1, "nope"),
        "images not given": ({**good, "--images": None}, 2, "--images"),
    }


@pytest.mark.parametrize(
    "case",
    [
        *("prompt folder empty", "prompt unreadable", "output not writable", "no image matched"),
        *("images missing", "no prompts", "unknown setting", "unknown profile", "unknown engine"),
        *("masks missing", "masks without concepts", "no fsspec protocol", "images not given"),
    ],
)
def test_a_wrong_call_is_one_clear_error_before_any_work(
    ipseg, tmp_path, one_cup, prompt_folder, case
):
    import ray

    before = ray.is_initialized()
    options, expected, message = wrong_calls(tmp_path, one_cup, prompt_folder)[case]
    words = [word for pair in options.items() if pair[1] is not None for word in pair]
    code, out, err = ipseg("segment", *words)
    assert code == expected
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert ray.is_initialized() == before
    assert not (tmp_path / "run").exists()


def test_a_run_in_which_every_row_failed_is_a_failure(ipseg, tmp_path, prompt_folder):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no")
    words = ["--images", tmp_path / "in", "--prompts", prompt_folder, "--out", tmp_path / "run"]
    code, _, err = ipseg("segment", *words, "--engine", "local")
    assert code == 1
    assert "every row failed" in err


FULL_DISK = """
import resource, sys
from jobs.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
sys.argv[0] = "ipseg"
main()
"""


def test_a_disk_that_is_full_is_one_clear_error(one_cup, prompt_folder, tmp_path):
    words = ["--images", one_cup, "--prompts", prompt_folder, "--out", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, "segment", *words, "--engine", "local"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr.splitlines()[-1]
    assert "start the same command again" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
