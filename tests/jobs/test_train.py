"""`ipseg train` as a person meets it."""

import json

import pytest
import yaml

from jobs.demo.train_sine import run_sine_demo
from jobs.train import training_of


def test_help_has_examples_and_where_it_goes_on(ipseg):
    code, out, _ = ipseg("train", "--help")
    assert code == 0
    assert "ipseg train sine --data coco/" in out
    assert "--profile sine/profile.yaml" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("sin", "--data", "."), 2, "did you mean 'sine'"),
        (("sine", "--data", ".", "--config", "tinny"), 2, "did you mean 'tiny'? Or give a .yaml"),
        (("sine", "--data", ".", "--set", "losses.dise=1"), 2, "did you mean 'losses.dice'"),
        (("sine", "--data", ".", "--set", "losses.id_pairs=none"), 2, "losses.id_pairs"),
        (("sine", "--data", ".", "--set", "pairs.largest=0.01"), 2, "is below pairs.smallest"),
        (("sine", "--data", "nowhere"), 1, "the data folder nowhere does not exist"),
        (("sine", "--data", "."), 1, "has no annotations to train with"),
        (("sine", "--data", ".", "--engine", "spark"), 2, "use auto, ray or local"),
    ],
)
def test_a_wrong_call_is_one_clear_error(ipseg, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    found, out, err = ipseg("train", *words, "--out", tmp_path / "out")
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_settings_are_those_of_the_release_a_small_one_or_a_file(tmp_path):
    full, tiny = training_of("sine", "full", []), training_of("sine", "tiny", [])
    numbers = full.optimisation
    assert (numbers.steps, numbers.batch * numbers.accumulate * 8) == (50_000, 64)
    assert (full.losses.id_pairs, numbers.loss_scale) == ("same_image", "once")
    assert tiny.decoder.width < full.decoder.width
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"losses": {"id_pairs": "equal_ids"}}))
    given = training_of("sine", str(own), ["optimisation.loss_scale=twice"])
    assert (given.losses.id_pairs, given.optimisation.loss_scale) == ("equal_ids", "twice")


def test_the_demo_trains_segments_and_reports(ipseg, tmp_path, page, capfd):
    run_sine_demo(tmp_path / "demo", questions=3, steps=2, seed=0, as_json=True, images=20)
    result = json.loads(capfd.readouterr().out)
    for task in ("semantic", "instance", "identity"):
        assert 0 <= result[task]["mean_iou"] <= 1
        assert 0 < result[task]["everything"] < 0.5
    report = page(result["report"])
    assert "random weights" in report.text
    images = report.images("Questions")
    assert len(images) == 3 * 5
    example, truth, *answers = images[:5]
    assert example.shape == truth.shape == answers[2].shape
    assert ipseg("demo", "--method", "sinus")[0] == 2
