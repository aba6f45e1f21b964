"""How many images a concept is convincing in: counted in columns as `Object.convincing` says."""

from collections import Counter

import numpy as np
import pytest

from ipseg.errors import OutputError
from ipseg.objects import Object
from ipseg.rows import failed
from pipeline.convincing import count_convincing
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.sink import Provenance, ShardWriter
from pipeline.sources.shard import key_hash

MASK = np.ones((3, 4), bool)
SCORES = (0.2, 0.4999, 0.5, 0.9)
EVIDENCE = ({}, {"similarity_max": 0.1}, {"presence": 0.4}, {"other": 0.1, "presence": 0.5})


def row(key, shard, objects):
    found = {"key": key, "shard": shard, "uri": key, "width": 4, "height": 3}
    return found | {"objects": objects, "metrics": [], "chain_errors": []}


@pytest.mark.parametrize(
    ("score", "evidence", "convincing"),
    [
        (0.5, {}, True),
        (0.49, {}, False),
        (0.9, {"presence": 0.5}, True),
        (0.9, {"presence": 0.49, "similarity_max": 0.9}, False),
        (0.9, {"similarity_max": 0.1}, True),
        (0.9, {"presence": None}, True),
    ],
)
def test_an_object_is_convincing_by_score_and_presence(score, evidence, convincing):
    assert Object.of("cup", 1, MASK, score, evidence=evidence).convincing is convincing


def test_images_are_counted_once_whatever_is_in_them(tmp_path):
    random = np.random.default_rng(0)
    writer = ShardWriter(str(tmp_path), Provenance("run", "m", "c", ()))
    expected, of_b = Counter[str](), Counter[str]()
    for shard in ("a", "b"):
        rows = [failed(row(f"{shard}/bad", shard, []), "match", ValueError("x"))]
        for number in range(40):
            objects = [
                Object.of(str(concept), 1, MASK, float(score), evidence=EVIDENCE[which])
                for concept in ("cup", "cat", "hat")
                for score, which in zip(
                    random.choice(SCORES, 2), random.integers(0, 4, 2), strict=True
                )
                if random.random() < 0.4
            ]
            rows.append(row(f"{shard}/{number}", shard, objects))
            convincing = {o.concept for o in objects if o.convincing}
            expected.update(convincing)
            of_b.update(convincing if shard == "b" else ())
        writer.write(rows[:25])
        writer.write(rows[20:])  # five rows twice, as after a kill
    assert 5 < expected["cup"] < 60
    assert count_convincing(str(tmp_path), ["cat", "cup", "dog"]) == {**expected, "dog": 0}
    gone = {key_hash(f"a/{number}") for number in range(40)}
    Ledger(str(tmp_path), "later", "c", ("run",)).mark_gone("a", gone)
    assert sum(count_convincing(str(tmp_path), []).values()) == of_b.total()


def test_a_folder_without_parts_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no finished parts"):
        count_convincing(str(tmp_path), ["cup"])
