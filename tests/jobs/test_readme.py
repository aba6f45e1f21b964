"""What the README shows works as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ipseg.config import load_config
from pipeline.runfolder.parts import read_rows
from pipeline.segment import Request, segment

README = (Path(__file__).parents[2] / "README.md").read_text()
SMALL = str(Path(__file__).parents[1] / "small.yaml")


@pytest.fixture(scope="module")
def run(image_folder, prompt_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("readme")
    request = Request(
        str(image_folder),
        str(root / "demo-out" / "run"),
        load_config(SMALL),
        prompts=str(prompt_folder),
        engine="local",
    )
    segment(request)
    return root


def test_ten_lines_read_the_masks_back(run):
    (code,) = re.findall(r"<!-- tested -->\n```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=run, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12, "six images, two concepts"
    assert lines[0].startswith("cup-crop.jpg cat ")


def test_the_python_lines_run(image_folder, prompt_folder, tmp_path):
    (code,) = re.findall(r"<!-- api -->\n```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    (tmp_path / "photos").symlink_to(image_folder)
    shutil.copy(prompt_folder / "cup.jpg", tmp_path)
    shutil.copy(image_folder / "cup-dark.jpg", tmp_path / "table.jpg")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("broken.jpg the JPEG data is damaged or truncated")
    assert lines[-1].startswith("rocket.jpg {'cup': 0.")
    assert len(lines) == 7


def test_a_method_of_ones_own_is_a_file_beside_a_profile(
    command, image_folder, prompt_folder, tmp_path, monkeypatch
):
    (code,) = re.findall(r"<!-- method -->\n```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "colour.py").write_text(code)
    profile = tmp_path / "colour.yaml"
    profile.write_text("method: colour:Colour\nsupport: none\nreach: 90\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = ("--images", image_folder, "--prompts", prompt_folder, "--out", tmp_path / "run")
    assert command("segment", *words, "--profile", profile, "--engine", "local") == 0
    found = {o["concept"] for row in read_rows(str(tmp_path / "run")) for o in row["objects"]}
    assert found == {"cat", "cup"}
    assert command("report", tmp_path / "run") == 0


def test_both_commands_are_targets_of_the_makefile():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_method_it_shows_runs_on_both_engines(
    ray_session, image_folder, prompt_folder, tmp_path
):
    (code,) = re.findall(r"<!-- method -->\n```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    (tmp_path / "colour.py").write_text(code)
    profile = tmp_path / "colour.yaml"
    profile.write_text("method: colour:Colour\nsupport: {saliency: {kind: classical}}\n")
    found = {}
    for engine in ("local", "ray"):
        request = Request(
            str(image_folder),
            str(tmp_path / engine),
            load_config(str(profile), ["reach=80"]),
            prompts=str(prompt_folder),
            engine=engine,
        )
        assert segment(request).counts["ok"] > 0
        found[engine] = {row["key"]: row["objects"] for row in read_rows(str(tmp_path / engine))}
    assert found["local"] == found["ray"]


def test_a_function_of_ones_own_is_a_step(image_folder, prompt_folder, tmp_path):
    (code,) = re.findall(r"<!-- library -->\n```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    (tmp_path / "photos").symlink_to(image_folder)
    (tmp_path / "prompts").symlink_to(prompt_folder)
    code = code.replace("steps=[large])", 'steps=[large], engine="local")')
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    objects = [each for row in read_rows(str(tmp_path / "large")) for each in row["objects"]]
    assert objects
    assert all(each["area"] > 999 for each in objects)
