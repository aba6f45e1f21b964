"""IPSeg as a method: what its settings allow, and how its steps hand things on."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.errors import ConfigError
from ipseg.features.similarity import Similarity
from ipseg.methods.ipseg.matching import Matching
from ipseg.methods.ipseg.method import IPSeg
from ipseg.methods.ipseg.steps import Match, Segment, features_of, merged
from ipseg.saliency.classical import ClassicalSaliency
from ipseg.segmenters.classical import ClassicalSegmenter


@dataclass
class Level:
    """How near the level of a cell is to that of a concept; counts the images it looks at."""

    weight: float = 1.0
    offset: float = 0.0
    gpu_memory_gb: float = 0.0

    def __post_init__(self):
        self.seen = 0

    def setup(self, models):
        """Nothing to load."""

    def describe(self, image, mask):
        return {"level": np.array([image[mask > 0].mean() + self.offset])}

    def merge(self, views):
        return {"level": np.max([view["level"] for view in views], axis=0)}

    def compare(self, images, bank, grids):
        self.seen += len(images)
        found = []
        for image, grid in zip(images, grids, strict=True):
            levels = [entry["level"][0] for entry in bank]
            near = [1 - abs(image.mean() - level) / 255 for level in levels]
            maps = np.stack([np.full(grid, each, np.float32) for each in near])
            found.append(Similarity(maps, np.array(near, np.float32)))
        return found


def bank_of(levels):
    rows = [
        {
            **{"key": name, "uri": name, "concept": name},
            "prompts": [{"chain": "", "features": {"level/level": np.array([float(level)])}}],
        }
        for name, level in levels.items()
    ]
    return PromptsInMemory(rows, lambda shots: shots[0])


def row(level, *asks):
    image = np.full((20, 30, 3), level, np.uint8)
    given = {"image": image, "width": 30, "height": 20}
    return given if not asks else {**given, "asks": [{"concept": name} for name in asks]}


def test_each_row_is_matched_with_what_it_asks_for():
    bank = bank_of({"black": 0, "grey": 100, "white": 255})
    extractor = Level()
    step = Match({"level": extractor}, {"level": 2.0}, Matching(grid=6), bank)
    rows = [row(0), row(255, "white", "black"), row(100, "grey"), {**row(7), "asks": []}]
    together = step(rows)
    assert extractor.seen == len(rows), "each image once, whatever is asked for"
    alone = [step([each])[0] for each in rows]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one["similarity"], other["similarity"])
        assert np.array_equal(one["presence"], other["presence"])
    shapes = [each["similarity"].shape for each in together]
    assert shapes == [(3, 4, 6), (2, 4, 6), (1, 4, 6), (0, 4, 6)]
    assert np.allclose(together[1]["presence"], [1, 0])
    assert np.allclose(together[0]["similarity"][:, 0, 0], 2 * np.array([1, 1 - 100 / 255, 0]))


def test_a_concept_is_absent_only_if_all_extractors_say_so():
    bank = bank_of({"thing": 0})
    rows = bank.features("thing")
    both = PromptsInMemory(
        [
            {
                **{"key": "thing", "uri": "", "concept": "thing"},
                "prompts": [{"chain": "", "features": {**rows, "other/level": np.array([255.0])}}],
            }
        ],
        lambda shots: shots[0],
    )
    parts = {"level": Level(), "other": Level()}
    step = Match(parts, {"level": 1.0, "other": 0.0}, Matching(grid=6), both)
    (done,) = step([row(51)])
    assert done["presence"] == pytest.approx([1 - (51 / 255) * (204 / 255)])


def test_extractors_keep_and_merge_their_own():
    shots = [{"a/level": np.array([1.0]), "b/level": np.array([5.0])}, {"a/level": np.array([3.0])}]
    assert {name: array.tolist() for name, array in merged({"a": Level()}, shots).items()} == {
        "a/level": [3.0]
    }
    (entry,) = bank_of({"thing": 7}).asked({})
    assert {name: array.tolist() for name, array in features_of(entry, "level").items()} == {
        "level": [7.0]
    }
    assert features_of(entry, "leve") == {}


def test_what_is_below_the_least_score_is_not_written():
    config = load_config("classical")
    bank = bank_of({"thing": 0})
    given = {
        **row(90),
        "similarity": np.ones((1, 4, 6), np.float32),
        "presence": np.array([0.5], np.float32),
        "points": [np.array([[15, 10, 1], [1, 1, 0]], np.float32)],
    }
    segment = Segment(
        ClassicalSegmenter(long_side=64), config.method.refinement, config.method.scoring, bank
    )
    ((found,),) = [done["objects"] for done in segment([given])]
    assert found.evidence["presence"] == 0.5
    assert found.points.tolist() == given["points"][0].tolist()
    limit = replace(config.method.scoring, min_score=found.score + 1e-6)
    assert replace(segment, scoring=limit)([given])[0]["objects"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": {}}, "no features are set, or all have weight 0"),
        ({"features": {"level": Level(weight=0)}}, "no features are set, or all have weight 0"),
        ({"saliency": None}, r"set saliency.kind, or matching.saliency_weight=0"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(change, message):
    good = load_config("classical").method
    with pytest.raises(ConfigError, match=message):
        replace(good, **change)


def test_a_segmenter_is_not_given_what_it_does_not_take():
    with pytest.raises(ConfigError, match=r"a box, which ClassicalSegmenter does not take; set"):
        load_config("classical", ["refinement.passes=3", "refinement.prior=none"])
    with pytest.raises(ConfigError, match=r"similarity map, which SegmentAnything does not take"):
        load_config("ipseg-light", ["refinement.prior=similarity"])


def test_extractors_without_a_weight_take_no_part():
    method = IPSeg(
        {"a": Level(weight=0.5), "b": Level(weight=0.0), "c": Level(weight=2.0)},
        ClassicalSegmenter(),
        saliency=ClassicalSaliency(),
    )
    (describe,) = method.prompt_steps()
    assert describe.extractors == {"a": Level(), "c": Level()}, "shares are left to the matching"
    match, _, _ = method.image_steps(bank_of({"thing": 0}))
    assert match.weights == {"a": 0.5, "c": 2.0}
    assert match.saliency is None, "its weight is 0"
