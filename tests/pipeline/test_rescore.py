"""A run that is scored again is the run that was made with these settings."""

from pathlib import Path

import pytest

from ipseg.config import load_config
from ipseg.errors import ConfigError, OutputError
from pipeline.rescore import rescore
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.parts import read_rows
from pipeline.runfolder.survey import survey_run
from pipeline.segment import Request, segment

SMALL = str(Path(__file__).parents[1] / "small.yaml")


def finished(images, prompts, out, *settings, **more):
    config = load_config(SMALL, settings)
    request = Request(str(images), str(out), config, prompts=str(prompts), engine="local", **more)
    return segment(request)


def rows_of(out):
    rows = {row["key"]: row for row in read_rows(str(out))}
    for row in rows.values():
        del row["run_id"]
    return rows


def test_scores_are_those_of_a_run_with_the_new_settings(tmp_path, image_folder, prompt_folder):
    settings = ("scoring.presence=0.3", "scoring.min_score=0.1")
    finished(image_folder, prompt_folder, tmp_path / "old", "scoring.presence=1")
    finished(image_folder, prompt_folder, tmp_path / "new", *settings)
    counts = rescore(f"{tmp_path}/old", settings)
    old, new = rows_of(tmp_path / "old"), rows_of(tmp_path / "new")
    for key, row in new.items():
        assert old[key]["row_status"] == row["row_status"]
        for mine, theirs in zip(old[key]["objects"], row["objects"], strict=True):
            assert mine.pop("score") == pytest.approx(theirs.pop("score"), abs=1e-7)
            assert mine == theirs
        assert old[key]["config_sha256"] == row["config_sha256"]
    assert counts == survey_run(f"{tmp_path}/old").counts == survey_run(f"{tmp_path}/new").counts
    run = finished(image_folder, prompt_folder, tmp_path / "old", *settings)
    assert run.metrics["rows_before"] == len(new), "the run goes on with the new settings"


def test_what_cannot_be_had_without_images_is_refused(tmp_path, image_folder, prompt_folder):
    out = f"{tmp_path}/run"
    finished(image_folder, prompt_folder, out, "scoring.min_score=0.05")
    before = rows_of(out)
    for settings, message in (
        (("points.k=3", "scoring.presence=0"), r"only settings of scoring.*points\.k"),
        (("scoring.min_score=0.05",), "has these scores already"),
        (("scoring.min_score=0.01",), r"below scoring\.min_score = 0\.05 were not written"),
        (("scoring.presense=1",), "presence"),
    ):
        with pytest.raises(ConfigError, match=message):
            rescore(out, settings)
    assert rows_of(out) == before
    with pytest.raises(OutputError, match="no run at"):
        rescore(f"{tmp_path}/nothing", ("scoring.presence=1",))


def test_an_interrupted_one_is_finished_before_anything_else(tmp_path, image_folder, prompt_folder):
    out = f"{tmp_path}/run"
    finished(image_folder, prompt_folder, out, "scoring.presence=1")
    rescore(out, ["scoring.presence=0.5"])
    whole = rows_of(out)
    manifest = Manifest.read(out)
    manifest.runs[-1]["finished"] = None
    manifest.write()
    with pytest.raises(OutputError, match=r"a rescore of .* was interrupted; run it again"):
        finished(image_folder, prompt_folder, out, "scoring.presence=0.5")
    rescore(out, ["scoring.presence=0.5"])
    assert rows_of(out) == whole
    assert Manifest.read(out).runs[-1]["finished"]
