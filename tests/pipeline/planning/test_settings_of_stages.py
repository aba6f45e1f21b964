"""Settings of single stages: `runtime.stages.NAME`."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from ipseg.config import Runtime, StageSettings
from ipseg.errors import ConfigError, PlanError
from ipseg.rows import Resources, Step
from pipeline.planning.cluster import Cluster, Node
from pipeline.planning.plan import check_settings, make_plan
from pipeline.stages.stage import Stage


@dataclass
class Model(Step):
    needs: Resources = field(default_factory=Resources)
    name: ClassVar[str] = "model"
    requires: ClassVar[tuple[str, ...]] = ()
    provides: ClassVar[tuple[str, ...]] = ()

    @property
    def resources(self):
        return self.needs

    def __call__(self, rows):
        return rows


def pool(name, cpus=1.0, gpu_memory_gb=0.0):
    return Stage(name, (Model(Resources(cpus, gpu_memory_gb)),), True, ())


TASKS = Stage("points", (Model(),), False, ())


def workers(plan):
    return {each.stage.name: each.workers for each in plan.stages if each.stage.actor}


def test_one_stage_can_have_other_settings_than_the_rest():
    stages = [pool("match"), TASKS, pool("segment", 2, 20)]
    cluster = Cluster((Node("a", 16, 2, 80.0),))
    own = {
        "match": StageSettings(batch_size=32, actors=3, cpus=0.5),
        "points": StageSettings(batch_size=8, cpus=0.25),
        "segment": StageSettings(gpu_memory_gb=40),
    }
    plan = make_plan(stages, cluster, Runtime(batch_size=2, stages=own))
    match, points, segment = plan.stages
    assert (match.workers, match.cpus, match.batch_size) == (3, 0.5, 32)
    assert (points.cpus, points.batch_size) == (0.25 * plan.task_cpus, 8)
    assert (segment.gpus, segment.workers, segment.batch_size) == (1 / 2, 4, 2)
    assert plan.block_rows >= 32, "a block holds the largest batch"


def test_a_stage_with_a_number_of_its_own_keeps_it_whatever_the_rest_grows_to():
    stages = [pool("match"), TASKS, pool("segment")]
    own = {"match": StageSettings(actors=2)}
    costs = {"match": 0.01, "points": 0.0, "segment": 1.0}
    for runtime in (Runtime(stages=own), Runtime(actors=5, stages=own)):
        for measured in (None, costs):
            found = workers(make_plan(stages, {"CPU": 16.0}, runtime, measured))
            assert found["match"] == 2
            assert found["segment"] == (runtime.actors or found["segment"]) > 2


def test_actors_of_one_stage_that_do_not_fit_are_refused():
    own = {"segment": StageSettings(actors=50)}
    with pytest.raises(PlanError, match=r"'segment'"):
        make_plan([pool("match"), pool("segment")], {"CPU": 2.0}, Runtime(stages=own))


def test_a_stage_that_there_is_not_is_refused_with_the_nearest_name():
    settings = Runtime(stages={"match": StageSettings(actors=1), "segmnet": StageSettings()})
    with pytest.raises(ConfigError, match="unknown stage 'segmnet'; did you mean 'segment'"):
        check_settings(settings, ["match", "points", "segment"])
    check_settings(settings, ["match", "segmnet"])


def test_actors_of_a_stage_that_runs_in_tasks_are_refused():
    own = {"points": StageSettings(actors=2)}
    with pytest.raises(ConfigError, match=r"points.actors: this stage loads no model"):
        make_plan([pool("match"), TASKS], {"CPU": 4.0}, Runtime(stages=own))
