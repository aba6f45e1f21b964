"""Which steps run together in one worker, and what travels between workers."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from ipseg.columns import is_local
from ipseg.config import load_config
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.rows import Resources, Step
from ipseg.steps.network_step import NetworkStep
from pipeline.job import OUTPUT_COLUMNS, SOURCE_COLUMNS
from pipeline.prompts import OUTPUT_COLUMNS as PROMPT_OUTPUT
from pipeline.prompts import SOURCE_COLUMNS as PROMPT_SOURCE
from pipeline.runfolder.bank import StoredBank
from pipeline.stages.stage import build_stages


def image_stages(**variants):
    configs = {label: load_config("classical", settings) for label, settings in variants.items()}
    banks = {label: StoredBank("", "", each.method.merge) for label, each in configs.items()}
    return build_stages(image_chain(configs, banks), SOURCE_COLUMNS, OUTPUT_COLUMNS)


APART = "segmenter.regions=200"  # other regions than those of the saliency


@pytest.fixture(scope="module")
def stages():
    return image_stages(only=(APART,))


def names(stages):
    return [[step.name for step in stage.steps] for stage in stages]


def test_models_run_in_actors_and_everything_else_in_tasks(stages):
    assert [(s.name, s.actor) for s in stages] == [
        ("read", False),
        ("match", True),
        ("points", False),
        ("segment", True),
    ]


def test_an_image_is_decoded_where_its_pixels_are_needed(stages):
    assert names(stages) == [["read"], ["decode", "match"], ["points"], ["decode", "segment"]]


def test_saliency_and_segmenter_with_the_same_regions_find_them_once_in_one_worker():
    assert names(image_stages(only=())) == [["read"], ["decode", "match", "points", "segment"]]


def test_no_pixels_travel_and_bytes_only_as_far_as_they_are_needed(stages):
    assert not any(is_local(column) for stage in stages for column in stage.columns)
    assert ["image_bytes" in stage.columns for stage in stages] == [True, True, True, False]
    assert "similarity" not in stages[-1].columns
    assert {*OUTPUT_COLUMNS} - {"metrics", "chain_errors"} <= set(stages[-1].columns)


def test_what_a_row_asks_for_travels_as_far_as_somebody_uses_it(stages):
    assert ["asks" in stage.columns for stage in stages] == [True, True, True, False]


def test_variants_run_beside_each_other_in_the_same_stages(stages):
    swept = image_stages(one=("points.k=8", APART), two=("points.k=16", APART))
    assert [s.name for s in swept] == ["read", "match", "points", "segment", "collect"]
    assert {"points@1", "points@2", "similarity"} <= set(swept[2].columns)
    assert "similarity@1" not in swept[2].columns, "it is shared"
    assert {*OUTPUT_COLUMNS} - {"metrics"} <= set(swept[-1].columns)
    assert not any(column.startswith("objects@") for column in swept[-1].columns)


def test_prompts_have_stages_of_their_own():
    chains = prompt_chains({"": load_config("classical")})
    stages = build_stages(chains.steps, PROMPT_SOURCE, PROMPT_OUTPUT)
    assert [(s.name, s.actor) for s in stages] == [
        ("read", False),
        ("support", True),
        ("describe", True),
        ("keep+thumbnail", False),
    ]
    assert "prompt_features" not in stages[-1].columns, "they are in `prompts`"


@dataclass
class Network:
    """A part with a network; two with the same width are the same."""

    width: int
    gpu_memory_gb: float = 3.0

    def setup(self, models):
        pass


@dataclass
class Encode(NetworkStep):
    network: Network
    made: str

    loads_model: ClassVar[bool] = True
    name: ClassVar[str] = "encode"
    requires: ClassVar[tuple[str, ...]] = ("image",)

    def __post_init__(self):
        self.provides = (self.made,)

    @property
    def resources(self):
        return Resources(cpus=2.0, gpu_memory_gb=self.network.gpu_memory_gb + 0.5)

    def __call__(self, rows):
        return rows


@dataclass
class Between(Step):
    name: ClassVar[str] = "between"
    requires: ClassVar[tuple[str, ...]] = ("similarity",)
    provides: ClassVar[tuple[str, ...]] = ("presence",)

    def __call__(self, rows):
        return rows


def encoding(*widths):
    """A stage for each width, tasks between the first two."""
    columns = ("similarity", "points", "objects")
    steps = [Encode(Network(width), made) for width, made in zip(widths, columns, strict=False)]
    return build_stages([steps[0], Between(), *steps[1:]], ("key", "image"), ("key", "presence"))


def test_steps_that_load_the_same_network_share_a_worker_with_all_that_lies_between():
    (stage,) = encoding(16, 16)
    assert (stage.name, stage.actor) == ("encode+between+encode", True)
    assert stage.resources == Resources(cpus=2.0, gpu_memory_gb=3.5), "the network counts once"


def test_steps_with_other_networks_have_workers_of_their_own():
    first, tasks, last = encoding(16, 32)
    assert [first.actor, tasks.actor, last.actor] == [True, False, True]
    assert first.resources == last.resources == Resources(cpus=2.0, gpu_memory_gb=3.5)


def test_a_network_between_two_equal_ones_is_drawn_in():
    (stage,) = encoding(16, 32, 16)
    assert stage.name == "encode+between+encode+encode"
    assert stage.resources.gpu_memory_gb == 3.0 + 3.0 + 0.5, "what a step needs beside it, once"


def test_what_somebody_sets_for_a_stage_counts_in_place_of_what_its_steps_declare():
    (stage,) = encoding(16, 16)
    own = replace(stage, cpus=0.5, gpu_memory_gb=0.0)
    assert own.resources == Resources(cpus=0.5, gpu_memory_gb=0.0)
