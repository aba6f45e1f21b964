"""Thresholds of a run: its scores are counted in columns as objects themselves say."""

from collections import defaultdict

import numpy as np
import pytest

from ipseg.errors import OutputError
from ipseg.objects import Object
from ipseg.rows import failed
from ipseg.scores.histogram import count_scores
from pipeline.labels.thresholds import read_scores, suggest
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.sources.shard import key_hash

MASK = np.ones((3, 4), bool)
EVIDENCE = ({}, {"similarity_max": 0.1}, {"presence": 0.4}, {"presence": None}, {"presence": 0.5})


def row(key, shard, objects):
    found = {"key": key, "shard": shard, "uri": key, "width": 4, "height": 3}
    return found | {"objects": objects, "metrics": [], "chain_errors": []}


@pytest.mark.parametrize(
    ("score", "evidence", "confidence"),
    [(0.6, {}, 0.6), (0.9, {"presence": 0.3}, 0.3), (0.2, {"presence": 0.3}, 0.2)],
)
def test_confidence_is_the_weaker_of_score_and_presence(score, evidence, confidence):
    assert Object.of("cup", 1, MASK, score, evidence=evidence).confidence == confidence


def test_images_are_counted_once_whatever_is_in_them(tmp_path):
    random = np.random.default_rng(0)
    writer = ShardWriter(str(tmp_path), Provenance("run", "m", "c", ()))
    every, best, of_b = defaultdict(list), defaultdict(list), defaultdict(list)
    for shard in ("a", "b"):
        rows = [failed(row(f"{shard}/bad", shard, []), "match", ValueError("x"))]
        for number in range(40):
            objects = [
                Object.of(concept, 1, MASK, float(np.float32(score)), evidence=EVIDENCE[which])
                for concept in ("cup", "cat", "hat")
                for score, which in zip(random.random(2), random.integers(0, 5, 2), strict=True)
                if random.random() < 0.4
            ]
            rows.append(row(f"{shard}/{number}", shard, objects))
            own = defaultdict(list)
            for each in objects:
                own[each.concept].append(np.float32(each.confidence))
            for concept, values in own.items():
                every[concept] += values
                best[concept].append(max(values))
                of_b[concept] += values if shard == "b" else []
        writer.write(rows[:25])
        writer.write(rows[20:])  # five rows twice, as after a kill
    found, images = read_scores(str(tmp_path), ["cat", "cup", "dog"])
    assert (images, set(found)) == (80, {"cat", "cup", "dog", "hat"})
    for concept, scores in found.items():
        np.testing.assert_array_equal(scores.objects, count_scores(every[concept]))
        np.testing.assert_array_equal(scores.best, count_scores(best[concept]))
    gone = {key_hash(f"a/{number}") for number in range(40)}
    Ledger(str(tmp_path), "later", "c", ("run",)).mark_gone("a", gone)
    found, images = read_scores(str(tmp_path), [])
    assert images == 40
    assert {name: each.objects.sum() for name, each in found.items()} == {
        name: len(values) for name, values in of_b.items()
    }


def test_a_concept_that_is_nowhere_is_said_to_be(tmp_path):
    writer = ShardWriter(str(tmp_path), Provenance("run", "m", "c", ()))
    draw = np.random.default_rng(0)
    writer.write(
        row(str(n), "a", [Object.of("cup", 1, MASK, 0.8 if n < 9 else draw.uniform(0, 0.3))])
        for n in range(40)
    )
    found = suggest(str(tmp_path), ["cup", "dog"])
    assert (found["cup"].why, found["cup"].convincing) == ("two modes", 9)
    assert found["dog"].record() == {
        **{"threshold": None, "why": "no image is convincing", "images": 40, "found": 0},
        **{"convincing": 0, "objects": 0, "candidates": 0},
    }


def test_a_folder_without_parts_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no finished parts"):
        suggest(str(tmp_path), ["cup"])
