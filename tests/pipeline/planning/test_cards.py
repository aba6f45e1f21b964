"""Machines and cards as Ray shows them, on two cores and two cards that are none."""

import pytest

from ipseg.config import Runtime
from ipseg.rows import Resources
from jobs.bench.synthetic import SyntheticMatch, synthetic_steps
from pipeline.planning.calibration import calibrate, on_ray
from pipeline.planning.cards import card_memory_gb, visible_card_gb
from pipeline.planning.cluster import Cluster, Node, see_cluster
from pipeline.planning.demand import DEFAULT_CARD_GB
from pipeline.planning.plan import make_plan
from pipeline.stages.stage import build_stages


class OnCard(SyntheticMatch):
    @property
    def resources(self):
        return Resources(gpu_memory_gb=7.0)


@pytest.mark.usefixtures("ray_session")
def test_the_machines_are_seen_and_stages_measured_where_they_will_run():
    cluster = see_cluster()
    assert (cluster.cpus, cluster.gpus) == (2, 2)
    known = card_memory_gb()
    assert known.keys() <= {node.id for node in cluster.nodes}
    assert cluster.card_gb == min(known.values(), default=None)
    assert see_cluster(card_gb=40).card_gb == 40
    stages = build_stages(
        [OnCard(0.002), *synthetic_steps()[1:]], ("key", "uri"), ("key", "objects")
    )
    plan = make_plan(stages, cluster, Runtime())
    rows = [{"key": str(index), "uri": ""} for index in range(8)]
    costs = calibrate(stages, rows, 4, on_ray(plan, patience=60))
    assert costs["match"].seconds_per_row >= 0.002
    assert 0 < plan.stages[0].gpus <= 7 / DEFAULT_CARD_GB * 1.5


def test_without_a_driver_nothing_is_said_about_cards():
    memory = visible_card_gb()
    assert memory is None or memory > 0


def test_the_smallest_card_counts():
    nodes = (Node("a", 8, 1, 80.0), Node("b", 8, 1, 16.0), Node("head", 0, 0))
    assert Cluster(nodes).card_gb == 16.0
    assert Cluster(nodes[2:]).card_gb is None
