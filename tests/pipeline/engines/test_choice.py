"""Which engine a run gets where nobody has named one, and what is said about it."""

import sys

import pytest

from jobs.bench.synthetic import synthetic_steps
from pipeline.engines.choice import FEW_ROWS, chosen_engine


@pytest.fixture(autouse=True)
def alone(monkeypatch, caplog):
    """No cluster is named; the session of other tests does not count."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    caplog.set_level("INFO", "ipseg")


@pytest.mark.parametrize(
    ("rows", "calibrated", "expected", "why"),
    [
        (FEW_ROWS, False, "local", "500 images are done sooner without starting Ray"),
        (FEW_ROWS + 1, False, "ray", "more than 500 images"),
        (None, False, "ray", "nobody has counted the images"),
        (5, True, "ray", "--calibrate"),
    ],
)
def test_few_images_need_no_ray(rows, calibrated, expected, why, caplog):
    assert chosen_engine("auto", rows, synthetic_steps(), calibrated=calibrated) == expected
    assert why in caplog.text


def test_a_cluster_that_is_named_is_used_for_few_images_too(monkeypatch, caplog):
    monkeypatch.setenv("RAY_ADDRESS", "ray.example:6379")
    assert chosen_engine("auto", 5, synthetic_steps()) == "ray"
    assert "engine ray: RAY_ADDRESS is ray.example:6379" in caplog.text


@pytest.mark.parametrize("name", ["ray", "local"])
def test_one_that_is_named_is_taken_without_a_word(name, caplog):
    assert chosen_engine(name, 10**6, synthetic_steps()) == name
    assert not caplog.text
