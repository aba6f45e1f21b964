from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.config import Runtime
from ipseg.errors import PlanError
from ipseg.rows import Resources, Step
from pipeline.plan import TASK_SLOTS, gpu_fraction, make_plan
from pipeline.stage import Stage


@dataclass
class Model(Step):
    needs: Resources = field(default_factory=Resources)
    name: ClassVar[str] = "model"
    requires: ClassVar[tuple[str, ...]] = ()
    provides: ClassVar[tuple[str, ...]] = ()
    loads_model: ClassVar[bool] = True

    @property
    def resources(self):
        return self.needs

    def __call__(self, rows):
        return rows


def pool(name, cpus=1.0, gpu_memory_gb=0.0):
    return Stage(name, (Model(Resources(cpus, gpu_memory_gb)),), True, ())


TASKS = Stage("points", (Model(),), False, ())


@given(
    cpus=st.floats(1, 256),
    asks=st.lists(st.floats(0.1, 4), min_size=1, max_size=6),
    actors=st.none() | st.integers(1, 5),
)
def test_pools_never_take_the_slots_that_reading_and_writing_need(cpus, asks, actors):
    stages = [pool(str(index), ask) for index, ask in enumerate(asks)]
    plan = make_plan(stages, {"CPU": cpus}, Runtime(actors=actors))
    taken = sum(each.workers * each.cpus for each in plan.stages)
    assert taken + TASK_SLOTS * plan.task_cpus <= cpus + 1e-6
    assert all(each.workers >= 1 for each in plan.stages)


@given(memory=st.floats(0.1, 24), card=st.floats(24, 141))
def test_a_fraction_holds_the_model_and_tiles_the_card(memory, card):
    fraction = gpu_fraction(memory, card)
    assert fraction * card >= memory * (1 - 1e-9)
    assert abs(1 / fraction - round(1 / fraction)) < 1e-6


@given(gpus=st.integers(1, 8), needs=st.lists(st.floats(0.5, 24), min_size=1, max_size=4))
def test_gpu_pools_fit_the_cards_or_are_refused(gpus, needs):
    stages = [pool(str(index), 1, need) for index, need in enumerate(needs)]
    try:
        plan = make_plan(stages, {"CPU": 64.0, "GPU": gpus}, Runtime(gpu_card_gb=24))
    except PlanError as error:
        assert "GPU" in str(error)  # noqa: PT017
        assert sum(gpu_fraction(need, 24) for need in needs) > gpus
    else:
        assert sum(each.workers * each.gpus for each in plan.stages) <= gpus + 1e-6


def test_without_a_gpu_the_stages_run_on_cpus():
    plan = make_plan([pool("features", 1, 8)], {"CPU": 4.0}, Runtime())
    assert plan.stages[0].gpus == 0


def test_two_cores_hold_two_pools_and_tasks():
    plan = make_plan([pool("match"), TASKS, pool("segment")], {"CPU": 2.0}, Runtime())
    assert [each.workers for each in plan.stages] == [1, 0, 1]
    assert [each.cpus for each in plan.stages] == [0.5, 0.5, 0.5]


def test_a_big_machine_is_filled():
    plan = make_plan([pool("match"), TASKS, pool("segment")], {"CPU": 16.0}, Runtime())
    assert [each.workers for each in plan.stages] == [7, 0, 7]


def test_less_than_one_core_is_refused():
    with pytest.raises(PlanError, match="at least 1"):
        make_plan([pool("match")], {"CPU": 0.5}, Runtime())


def test_a_model_larger_than_a_card_is_refused_with_the_remedy():
    with pytest.raises(PlanError, match="gpu_card_gb"):
        gpu_fraction(30, 24)
