import pytest

from ipseg.columns import from_table, is_local, to_table
from ipseg.config import load_config
from ipseg.methods import create_method
from ipseg.rows import Resources
from pipeline.segment import OUTPUT_COLUMNS, SOURCE_COLUMNS
from pipeline.stages.record import FailureBudget, RunRecord
from pipeline.stages.stage import build_stages, run_stage


@pytest.fixture(scope="module")
def stages():
    method = create_method(load_config("classical"))
    return build_stages(method.image_steps(None), SOURCE_COLUMNS, OUTPUT_COLUMNS)


def test_models_run_in_actors_and_everything_else_in_tasks(stages):
    assert [(s.name, s.actor) for s in stages] == [
        ("read", False),
        ("match", True),
        ("points", False),
        ("segment", True),
    ]


def test_a_picture_is_decoded_where_it_is_looked_at(stages):
    assert [[step.name for step in s.steps] for s in stages] == [
        ["read"],
        ["decode", "match"],
        ["points"],
        ["decode", "segment"],
    ]


def test_no_pixels_travel_and_bytes_only_as_far_as_they_are_needed(stages):
    assert not any(is_local(column) for stage in stages for column in stage.columns)
    assert ["image_bytes" in stage.columns for stage in stages] == [True, True, True, False]
    assert "similarity" not in stages[-1].columns
    assert set(OUTPUT_COLUMNS) <= set(stages[-1].columns)


def test_prompt_stages():
    method = create_method(load_config("classical"))
    stages = build_stages(
        method.prompt_steps(), ("uri", "image_bytes", "mask_bytes"), ("description",)
    )
    assert [(s.name, s.actor) for s in stages] == [
        ("read", False),
        ("isolate", True),
        ("describe", True),
    ]


def test_models_of_one_stage_are_loaded_together(stages):
    assert stages[1].resources == Resources(cpus=1.0, gpu_memory_gb=0.0)


def test_a_failed_row_passes_a_stage_and_bytes_are_counted(stages, image_folder):
    data = (image_folder / "rocket.jpg").read_bytes()
    rows = [
        {"key": "a", "shard": "s", "uri": str(image_folder / "rocket.jpg")},
        {"key": "b", "shard": "s", "uri": "gone.jpg"},
    ]
    record = RunRecord(FailureBudget())
    done = from_table(run_stage(stages[0], record, to_table(rows, SOURCE_COLUMNS)))
    assert done[0]["image_bytes"] == data
    assert done[1]["error_type"] == "FileNotFoundError"
    (summary,) = record.summary()
    assert summary["rows"] == 2
    assert summary["image_bytes_per_row"] == pytest.approx(len(data) / 2, rel=0.01)
    assert 0 < summary["bytes_per_row"] < 1000


def test_a_shard_that_is_read_twice_counts_once():
    record = RunRecord(FailureBudget())
    record.shard_read("a", 5, {}, "")
    record.shard_read("b", 2, {}, "")
    record.shard_read("a", 5, {}, "")
    assert record.books()["read"] == 7
