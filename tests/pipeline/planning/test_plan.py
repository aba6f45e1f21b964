import re
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ipseg.config import Runtime, StageSettings
from ipseg.errors import PlanError
from ipseg.rows import Resources, Step
from pipeline.planning.cluster import Cluster, Node
from pipeline.planning.demand import TASK_SLOTS, gpu_fraction
from pipeline.planning.placement import Claim, fits
from pipeline.planning.plan import make_plan
from pipeline.stages.stage import Stage


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


def machines(*sizes):
    return Cluster(tuple(Node(str(i), cpus, gpus) for i, (cpus, gpus) in enumerate(sizes)))


def workers(plan):
    return {each.stage.name: each.workers for each in plan.stages if each.stage.actor}


TASKS = Stage("points", (Model(),), False, ())
STAGES = st.lists(
    st.builds(
        Resources,
        st.floats(0, 4),
        st.sampled_from([0.0, 1.0]).flatmap(lambda gpu: st.floats(0.5, 24).map(gpu.__mul__)),
    ),
    min_size=1,
    max_size=4,
).map(lambda needs: [pool(str(i), need.cpus, need.gpu_memory_gb) for i, need in enumerate(needs)])
NODES = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 2.0, 4.0, 8.5, 32.0]), st.integers(0, 4)),
    min_size=1,
    max_size=4,
).map(lambda sizes: machines(*sizes))
ACTORS = st.none() | st.integers(1, 40)
SETTINGS = st.dictionaries(
    st.sampled_from(["0", "1", "points"]),
    st.builds(
        StageSettings,
        batch_size=st.none() | st.integers(1, 64),
        actors=st.none() | st.integers(1, 8),
        cpus=st.none() | st.floats(0.1, 4),
        gpu_memory_gb=st.none() | st.floats(0, 24),
    ),
)


@given(stages=STAGES, cluster=NODES, actors=ACTORS, own=SETTINGS, data=st.data())
def test_a_plan_fits_the_machines_or_is_refused(stages, cluster, actors, own, data):
    stages = [*stages, TASKS]
    if TASKS.name in own:
        own = own | {TASKS.name: replace(own[TASKS.name], actors=None)}
    costs = data.draw(
        st.none() | st.fixed_dictionaries({stage.name: st.floats(0, 9) for stage in stages})
    )
    try:
        plan = make_plan(stages, cluster, Runtime(actors=actors, stages=own), costs)
    except PlanError:
        return
    pools = [each for each in plan.stages if each.stage.actor]
    cpus = sum(each.workers * each.cpus for each in pools) + plan.slots * plan.task_cpus
    assert cpus <= cluster.cpus + 1e-6
    assert sum(each.workers * each.gpus for each in pools) <= cluster.gpus + 1e-6
    assert plan.slots >= TASK_SLOTS
    for each in pools:
        wanted = own.get(each.stage.name, StageSettings()).actors or actors
        assert each.workers == (wanted or each.workers) >= 1
    for each in pools:
        if each.gpus:
            assert abs(1 / each.gpus - round(1 / each.gpus)) < 1e-6, "tiles a card"
    claims = [Claim(e.stage.name, e.workers, e.cpus, e.gpus) for e in pools]
    assert fits(claims, [Claim("tasks", plan.slots, plan.task_cpus)], cluster.nodes)


@given(stages=STAGES, cluster=NODES, actors=ACTORS)
def test_a_refusal_says_what_is_wrong_and_names_settings_that_exist(stages, cluster, actors):
    try:
        make_plan(stages, cluster, Runtime(actors=actors))
    except PlanError as error:
        text = str(error)
    else:
        assume(False)
    settings = re.findall(r"runtime\.(\w+)", text)
    assert set(settings) <= {each.name for each in fields(Runtime)}
    assert "the cluster has" in text or any(f"'{stage.name}'" in text for stage in stages)
    fewer = re.search(r"runtime\.actors=(\d+)", text)
    if fewer:
        make_plan(stages, cluster, Runtime(actors=int(fewer[1])))


@given(
    costs=st.lists(st.floats(0.01, 9), min_size=3, max_size=3),
    asks=st.lists(st.floats(0.1, 4), min_size=2, max_size=2),
    cpus=st.floats(1, 64),
    more=st.floats(0, 64),
)
def test_more_cpus_never_make_the_slowest_stage_slower(costs, asks, cpus, more):
    stages = [pool("a", asks[0]), TASKS, pool("b", asks[1])]
    named = dict(zip(("a", "points", "b"), costs, strict=True))

    def slowest(cpus):
        sizes = workers(make_plan(stages, {"CPU": cpus}, Runtime(), named))
        return max(named[name] / size for name, size in sizes.items())

    try:
        assert slowest(cpus + more) <= slowest(cpus) * (1 + 1e-9)
    except PlanError:
        assert cpus < 2


@given(memory=st.floats(0.1, 24), card=st.floats(24, 141))
def test_a_fraction_holds_the_model_and_tiles_the_card(memory, card):
    fraction = gpu_fraction(memory, card)
    assert fraction * card >= memory * (1 - 1e-9)
    assert abs(1 / fraction - round(1 / fraction)) < 1e-6


@given(gpus=st.integers(1, 8), needs=st.lists(st.floats(0.5, 24), min_size=1, max_size=4))
def test_on_one_machine_gpu_pools_fit_whenever_their_sum_does(gpus, needs):
    stages = [pool(str(index), 1, need) for index, need in enumerate(needs)]
    fit = sum(gpu_fraction(need, 24) for need in needs) <= gpus + 1e-6
    try:
        make_plan(stages, {"CPU": 64.0, "GPU": gpus}, Runtime(gpu_card_gb=24))
    except PlanError as error:
        assert not fit
        assert "more GPUs" in str(error)  # noqa: PT017
    else:
        assert fit


def test_without_a_gpu_the_stages_run_on_cpus():
    plan = make_plan([pool("features", 1, 8)], {"CPU": 4.0}, Runtime())
    assert plan.stages[0].gpus == 0


def test_two_cores_hold_two_pools_and_tasks():
    plan = make_plan([pool("match"), TASKS, pool("segment")], {"CPU": 2.0}, Runtime())
    assert [each.workers for each in plan.stages] == [1, 0, 1]
    assert [each.cpus for each in plan.stages] == [0.5, 0.5, 0.5]


def test_one_core_is_shared_in_quarters():
    plan = make_plan([pool("match"), TASKS, pool("segment")], {"CPU": 1.0}, Runtime())
    assert [each.cpus for each in plan.stages] == [0.25, 0.25, 0.25]


def test_a_big_machine_is_filled():
    plan = make_plan([pool("match"), TASKS, pool("segment")], {"CPU": 16.0}, Runtime())
    assert [each.workers for each in plan.stages] == [8, 0, 8]


def test_a_small_machine_has_an_actor_for_every_core():
    """The slots of tasks, which mostly wait, take half of it."""
    for cores in (1, 2, 4):
        plan = make_plan([pool("match"), TASKS], {"CPU": float(cores)}, Runtime())
        assert workers(plan) == {"match": cores}
        assert plan.slots * plan.task_cpus + cores * plan.stages[0].cpus <= cores
    with_gpu = make_plan([pool("match", 1, 10)], {"CPU": 4.0, "GPU": 1.0}, Runtime())
    assert workers(with_gpu) == {"match": 2}


def test_the_slow_stage_gets_the_workers_and_slow_tasks_get_slots():
    stages = [pool("match"), TASKS, pool("segment")]
    plan = make_plan(
        stages, {"CPU": 16.0}, Runtime(), {"match": 0.1, "points": 0.001, "segment": 0.6}
    )
    assert workers(plan) == {"match": 3, "segment": 13}
    assert plan.slots == TASK_SLOTS
    slow_tasks = make_plan(
        stages, {"CPU": 16.0}, Runtime(), {"match": 0.1, "points": 0.5, "segment": 0.1}
    )
    assert slow_tasks.slots > workers(slow_tasks)["match"] == workers(slow_tasks)["segment"]


def test_few_rows_start_few_workers_for_their_tasks():
    stages = [pool("match"), TASKS]

    def tasks(rows):
        return make_plan(stages, {"CPU": 2.0}, Runtime(), rows=rows).tasks

    plan = make_plan(stages, {"CPU": 2.0}, Runtime())
    assert tasks(48) == 1 < plan.slots
    assert tasks(100_000) == plan.tasks == plan.slots


def test_a_cpu_stage_does_not_fill_the_cores_that_a_gpu_stage_cannot_use():
    stages = [pool("decode"), pool("segment", 1, 20)]
    plan = make_plan(stages, {"CPU": 64.0, "GPU": 2.0}, Runtime(), {"decode": 0.1, "segment": 0.5})
    assert workers(plan) == {"decode": 1, "segment": 2}


def test_a_stage_without_a_cost_is_a_mistake():
    with pytest.raises(ValueError, match="points"):
        make_plan([pool("match"), TASKS], {"CPU": 2.0}, Runtime(), {"match": 1.0})


def test_a_head_without_cpus_takes_no_part():
    plan = make_plan([pool("match")], machines((0, 0), (4, 1)), Runtime())
    assert workers(plan) == {"match": 4}


def test_less_than_one_core_is_refused():
    with pytest.raises(PlanError, match="at least 1"):
        make_plan([pool("match")], {"CPU": 0.5}, Runtime())


def test_a_model_larger_than_a_card_is_refused_with_stage_and_remedy():
    cluster = Cluster((Node("a", 8, 1, 80.0), Node("b", 8, 1, 16.0)))
    with pytest.raises(PlanError, match=r"'match' needs 30 GB .* 16 GB.*runtime\.gpu_card_gb"):
        make_plan([pool("match", 1, 30)], cluster, Runtime())
    make_plan([pool("match", 1, 30)], cluster, Runtime(gpu_card_gb=80))


def test_the_memory_of_the_cards_that_are_there_makes_the_shares():
    cluster = Cluster((Node("a", 8, 1, 80.0),))
    assert make_plan([pool("match", 1, 9)], cluster, Runtime()).stages[0].gpus == 1 / 8
    assert make_plan([pool("match", 1, 9)], {"CPU": 8, "GPU": 1}, Runtime()).stages[0].gpus == 1 / 2


def test_too_many_actors_are_refused_with_the_arithmetic_and_the_number_that_fits():
    with pytest.raises(PlanError) as refused:
        make_plan([pool("match"), pool("segment")], {"CPU": 2.0}, Runtime(actors=20))
    text = str(refused.value)
    assert "20 x 0.125" in text
    assert re.search(r"needed +5\.", text)
    assert re.search(r"there +2 ", text)
    assert "set runtime.actors=7" in text


def test_what_fits_in_the_sum_but_on_no_machine_is_refused():
    # One machine has the cards, the other the cores.
    with pytest.raises(PlanError, match=r"'segment' needs .* on one machine"):
        make_plan([pool("segment", 1, 8)], machines((0, 2), (16, 0)), Runtime())


def test_halves_that_ray_spreads_over_two_cards_leave_no_whole_one():
    # Seen with Ray 2.60: one half goes to each machine, and the whole card waits for ever.
    stages = [pool("match", 1, 12), pool("points", 1, 12), pool("segment", 1, 24)]
    assert workers(make_plan(stages, machines((8, 2)), Runtime()))
    with pytest.raises(PlanError, match=r"may find no room .* Ray spreads"):
        make_plan(stages, machines((8, 1), (8, 1)), Runtime())


def test_a_big_cluster_is_filled_and_a_bad_plan_for_it_refused():
    stages = [pool("match", 1, 12), TASKS, pool("segment", 1, 6)]
    cluster = machines((0, 0), *[(64, 8)] * 64)
    plan = make_plan(stages, cluster, Runtime(), {"match": 0.5, "points": 0.01, "segment": 0.3})
    assert sum(each.workers * each.gpus for each in plan.stages) > 0.95 * 512
    with pytest.raises(PlanError):
        make_plan(stages, cluster, Runtime(actors=5000))


@pytest.mark.parametrize(
    ("rows", "settings", "expected"),
    [
        (7, {}, 8),
        (600_000, {}, 30),
        (50_000_000, {}, 64),
        (None, {}, 32),
        (7, {"batch_size": 16}, 16),
        (50_000_000, {"block_rows": 5}, 5),
    ],
)
def test_the_more_rows_the_larger_the_blocks(rows, settings, expected):
    plan = make_plan([pool("match")], {"CPU": 4.0}, Runtime(**settings), rows=rows)
    assert plan.block_rows == expected
