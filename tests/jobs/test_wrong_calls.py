"""What a person does wrong, or what goes wrong: one clear error, and its exit code."""

import subprocess
import sys

import pytest


def wrong_calls(tmp_path, image_folder, prompt_folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "cup.jpg").write_text("not an image")
    (tmp_path / "file").write_text("")
    good = {"--images": image_folder, "--prompts": prompt_folder, "--out": tmp_path / "run"}
    return {
        "prompt folder empty": ({**good, "--prompts": empty}, 1, "no prompt image in"),
        "prompt unreadable": ({**good, "--prompts": tmp_path / "bad"}, 1, "cup.jpg cannot be used"),
        "output not writable": ({**good, "--out": tmp_path / "file" / "x"}, 1, "cannot write to"),
        "no image matched": ({**good, "--images": empty}, 1, "no image matched"),
        "images missing": ({**good, "--images": empty / "x"}, 1, "does not exist"),
        "prompt without a name": (
            {**good, "--prompt-box": "hat=1,1,9,9"},
            *(2, "'hat' must name one prompt, such as cat/1.jpg"),
        ),
        "box for a bank": (
            {**good, "--prompts": None, "--prompt-bank": empty, "--prompt-box": "cup=1,1,9,9"},
            *(2, "are described already"),
        ),
        "no bank": ({**good, "--prompts": None, "--prompt-bank": empty}, 1, "is no bank"),
        "unknown support": ({**good, "--support": "boxes"}, 2, "support.kind"),
        "no prompts": ({**good, "--prompts": None}, 2, "either --prompts or --prompt-bank"),
        "unknown setting": ({**good, "--set": "points.kk=1"}, 2, "did you mean 'points.k'"),
        "unknown profile": (
            {**good, "--profile": "clasical"},
            2,
            "did you mean 'classical'? Or give a .yaml file",
        ),
        "unknown engine": ({**good, "--engine": "spark"}, 2, "use auto, ray or local"),
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
        *("prompt without a name", "box for a bank", "no bank", "unknown support"),
    ],
)
def test_a_wrong_call_is_one_clear_error_before_any_work(
    ipseg, tmp_path, image_folder, prompt_folder, case
):
    import ray

    before = ray.is_initialized()
    options, expected, message = wrong_calls(tmp_path, image_folder, prompt_folder)[case]
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


def test_a_disk_that_is_full_is_one_clear_error(image_folder, prompt_folder, tmp_path):
    words = ["--images", image_folder, "--prompts", prompt_folder, "--out", tmp_path / "run"]
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
