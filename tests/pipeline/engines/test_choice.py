"""Which engine a run gets where nobody has named one, and what is said about it."""

import sys

import pytest

from jobs.bench.synthetic import synthetic_steps
from pipeline.engines.choice import FEW_CPUS, FEW_ROWS, ROWS_ON_FEW_CPUS, chosen_engine


@pytest.fixture(autouse=True)
def alone(monkeypatch, caplog):
    """No cluster is named; the session of other tests does not count."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    caplog.set_level("INFO", "ipseg")


@pytest.mark.parametrize(
    ("rows", "cpus", "expected", "why"),
    [
        (1, 4, "local", "1 image is done sooner without Ray ("),
        (FEW_ROWS, 16, "local", "500 images are done sooner without Ray ("),
        (FEW_ROWS + 1, FEW_CPUS + 1, "ray", "more than 500 images"),
        (None, FEW_CPUS, "ray", "nobody has counted the images"),
        (
            ROWS_ON_FEW_CPUS,
            FEW_CPUS,
            "local",
            "10,000 images are done sooner without Ray with 2 CPUs",
        ),
        (FEW_ROWS + 1, 1, "local", "501 images are done sooner without Ray with 1 CPU"),
        (ROWS_ON_FEW_CPUS + 1, 1, "ray", "more than 10,000 images"),
    ],
)
def test_ray_is_for_many_images_on_many_cpus(rows, cpus, expected, why, caplog):
    light = [step for step in synthetic_steps() if step.thread_safe]
    assert chosen_engine("auto", rows, light, cpus=cpus) == expected
    assert why in caplog.text


def test_networks_on_few_cpus_take_long_for_many_images(caplog):
    assert chosen_engine("auto", FEW_ROWS + 1, synthetic_steps(), cpus=FEW_CPUS) == "ray"
    assert "more than 500 images" in caplog.text


def test_pools_can_be_sized_on_ray_alone(caplog):
    assert chosen_engine("auto", 5, synthetic_steps(), calibrated=True, cpus=1) == "ray"
    assert "--calibrate" in caplog.text


def test_a_cluster_that_is_named_is_used_for_few_images_too(monkeypatch, caplog):
    monkeypatch.setenv("RAY_ADDRESS", "ray.example:6379")
    assert chosen_engine("auto", 5, synthetic_steps()) == "ray"
    assert "engine ray: RAY_ADDRESS is ray.example:6379" in caplog.text


@pytest.mark.parametrize("name", ["ray", "local"])
def test_one_that_is_named_is_taken_without_a_word(name, caplog):
    assert chosen_engine(name, 10**6, synthetic_steps()) == name
    assert not caplog.text
