from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.config import Runtime
from ipseg.rows import Resources, Step
from pipeline.planning.calibration import StageCost
from pipeline.planning.cluster import Cluster, Node
from pipeline.planning.estimate import CPUS, GPUS, TASKS, estimate
from pipeline.planning.plan import make_plan
from pipeline.stages.stage import Stage


@dataclass
class Model(Step):
    gb: float = 0.0
    cpus: float = 1.0
    name: ClassVar[str] = "model"
    requires: ClassVar[tuple[str, ...]] = ()
    provides: ClassVar[tuple[str, ...]] = ()

    @property
    def resources(self):
        return Resources(self.cpus, self.gb)

    def __call__(self, rows):
        return rows


STAGES = [
    Stage("read", (Model(cpus=0.5),), False, ()),
    Stage("match", (Model(9.2),), True, ()),
    Stage("points", (Model(),), False, ()),
    Stage("segment", (Model(7.0),), True, ()),
]


def guess(cluster, images=1000, setup=0.0, **seconds):
    costs = {name: StageCost(each, setup) for name, each in seconds.items()}
    plan = make_plan(STAGES, cluster, Runtime(), seconds)
    return plan, estimate(plan, costs, images)


def test_the_slowest_stage_sets_the_pace():
    plan, found = guess({"CPU": 8.0}, read=0.0, match=0.1, points=0.001, segment=0.55, setup=7.0)
    actors = {each.stage.name: each.workers for each in plan.stages}
    assert found.bottleneck == "segment"
    assert found.seconds == pytest.approx(7 + 1000 * 0.55 / actors["segment"])
    assert found.images_per_second == pytest.approx(actors["segment"] / 0.55)
    assert {load.name: load.share for load in found.stages}["segment"] == 1
    assert found.gpu_hours == 0


def test_more_workers_than_cores_go_no_faster_than_the_cores():
    _, found = guess({"CPU": 1.0}, read=0.0, match=0.3, points=0.1, segment=0.3)
    assert found.bottleneck == CPUS
    assert found.images_per_second == pytest.approx(1 / 0.7)


def test_task_stages_share_their_slots():
    cluster = Cluster((Node("a", 2, 0),))
    _, found = guess(cluster, read=0.8, match=0.1, points=0.6, segment=0.1)
    assert found.bottleneck == TASKS
    # Reading asks for half a slot: it waits more than it works.
    assert found.images_per_second == pytest.approx(1 / (0.8 / 2 + 0.6))


def test_workers_on_one_card_take_turns():
    cluster = Cluster((Node("a", 64, 1, 80.0),))
    plan, found = guess(cluster, 3_600_000, read=0.0, match=0.2, points=0.0, segment=0.3)
    assert sum(each.workers for each in plan.stages) > 4
    assert found.bottleneck == GPUS
    assert found.seconds == pytest.approx(3_600_000 * 0.5)
    assert found.gpu_hours == pytest.approx(500)


@given(
    cpus=st.integers(1, 64),
    gpus=st.integers(0, 4),
    seconds=st.lists(st.just(0.0) | st.floats(1e-4, 9), min_size=4, max_size=4),
    images=st.integers(1, 10**9),
)
def test_an_estimate_is_never_faster_than_any_of_its_stages(cpus, gpus, seconds, images):
    costs = dict(zip(("read", "match", "points", "segment"), seconds, strict=True))
    plan, found = guess(Cluster((Node("a", cpus, gpus, 80.0),)), images, **costs)
    for each in plan.stages:
        if each.stage.actor:
            least = images * costs[each.stage.name] / each.workers
            assert found.seconds >= least * (1 - 1e-9)
    loads = [*found.stages, *found.shared]
    assert max(load.share for load in loads) == pytest.approx(1) or not any(seconds)
    assert found.bottleneck in {load.name for load in loads}
