"""Which engine a run gets where nobody has named one, and what is said about it."""

import sys

import pytest

from ipseg.config import Runtime, StageSettings
from ipseg.errors import ConfigError
from jobs.bench.synthetic import synthetic_steps
from pipeline.engines.choice import FEW_CPUS, FEW_ROWS, ROWS_ON_FEW_CPUS, chosen_engine
from pipeline.engines.local_engine import LocalEngine
from pipeline.engines.ray_engine import RayEngine
from pipeline.process import engine_for


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


@pytest.mark.parametrize(
    ("pools", "name"),
    [
        ({"actors": 2}, "actors"),
        ({"stages": {"match": StageSettings(cpus=2)}}, "stages"),
        ({"block_rows": 8}, "block_rows"),
    ],
)
def test_workers_are_pooled_on_ray_alone(pools, name, caplog):
    runtime = Runtime(**pools)
    light = [step for step in synthetic_steps() if step.thread_safe]
    assert chosen_engine("auto", 5, light, pools_by=runtime.pools_by, cpus=1) == "ray"
    assert f"engine ray: runtime.{name} is about its workers" in caplog.text
    with engine_for("local", runtime, light, 5) as engine:
        assert isinstance(engine, LocalEngine)
    assert f"runtime.{name} has no effect: engine 'local' has no pools" in caplog.text


def test_pools_are_measured_on_ray_alone(caplog):
    with engine_for("auto", Runtime(), synthetic_steps(), 5, calibrated=True) as engine:
        assert isinstance(engine, RayEngine)
    assert "engine ray: --calibrate is about its workers" in caplog.text
    with pytest.raises(ConfigError, match="--calibrate sizes pools"):
        engine_for("local", Runtime(), synthetic_steps(), 5, calibrated=True)


def test_sizes_of_batches_and_parts_are_no_reason_for_ray():
    assert Runtime(batch_size=16, part_rows=8, flush_seconds=1.0).pools_by is None


def test_a_cluster_that_is_named_is_used_for_few_images_too(monkeypatch, caplog):
    monkeypatch.setenv("RAY_ADDRESS", "ray.example:6379")
    assert chosen_engine("auto", 5, synthetic_steps()) == "ray"
    assert "engine ray: RAY_ADDRESS is ray.example:6379" in caplog.text


def test_an_empty_address_names_no_cluster(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert chosen_engine("auto", 5, synthetic_steps()) == "local"


@pytest.mark.parametrize("name", ["ray", "local"])
def test_one_that_is_named_is_taken_without_a_word(name, caplog):
    assert chosen_engine(name, 10**6, synthetic_steps()) == name
    assert not caplog.text
