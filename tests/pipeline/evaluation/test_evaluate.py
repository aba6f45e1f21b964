"""A sweep is its settings one by one, Ray is the local engine, and a lost support loses its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ipseg.benchmarks.benchmark import Protocol
from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.results import RESULTS
from ipseg.config import load_config
from ipseg.metrics import measure
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.evaluation import Evaluation
from pipeline.evaluation.passes import Variant
from pipeline.evaluation.results import predictions, results_table
from pipeline.runfolder.ledger import Retry

SMALL = str(Path(__file__).parents[2] / "small.yaml")
SETTINGS = (
    "points.k=8",
    "points.k=32",
    "features.sift=null",
    "matching.saliency_weight=0",
    "scoring.min_score=0.9",
    "matching.grid=40",
)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """Two classes, each shown once and asked about in two pictures; one picture shows both."""
    root = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0)
    examples = {}
    for n, shown in enumerate([(1,), (2,), (1,), (2,), (1, 2)]):
        image = noise.normal(120, 6, (48, 64, 3))
        labels = np.zeros((48, 64), np.uint8)
        for label in shown:
            at = 3 + 30 * (label - 1)
            image[10 + n : 34 + n, at : at + 24] = (200, 60, 40) if label == 1 else (30, 80, 190)
            labels[10 + n : 34 + n, at : at + 24] = label
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / f"{n}.png")
        Image.fromarray(labels).save(root / f"labels-{n}.png")
        for label in shown:
            address = f"{root}/labels-{n}.png#label={label}"
            examples[n, label] = Example(f"{n}.png", f"{root}/{n}.png", address)
    asked = [(1, 2), (1, 4), (2, 3), (2, 4)]
    return [
        Episode(i, "", c, f"class {c}", examples[q, c], (examples[c - 1, c],))
        for i, (c, q) in enumerate(asked)
    ]


def variant(*settings, label=None, given_mask=False):
    config = load_config(SMALL, settings)
    name = ", ".join(settings) if label is None else label
    return Variant(name, config, given_mask, settings)


def run(episodes, out, variants, **more):
    protocol = Protocol(formula="B", side=40)
    work = Evaluation("toy", episodes, protocol, variants, str(out), "local")
    work = replace(work, **more)
    outcomes = evaluate(work)
    return work, results_table(work), outcomes


@pytest.fixture(scope="module")
def swept(episodes, tmp_path_factory):
    """All settings at once: (evaluation, results, outcomes)."""
    variants = [*(variant(s) for s in SETTINGS), variant(label="given", given_mask=True)]
    return run(episodes, tmp_path_factory.mktemp("sweep"), variants)


def without_variant(table, label):
    rows = [r for r in table.to_pylist() if r["variant"] == label]
    return [{k: v for k, v in r.items() if k != "variant"} for r in rows]


@pytest.mark.parametrize("setting", [*SETTINGS, "given"])
def test_a_sweep_gives_what_each_setting_gives_alone(setting, swept, episodes, tmp_path):
    work, table, _ = swept
    alone = variant(*([] if setting == "given" else [setting]), given_mask=setting == "given")
    alone = replace(alone, label="")
    other, single, _ = run(episodes, tmp_path, [alone])
    assert without_variant(table, setting) == without_variant(single, "")
    assert len(single) == len(episodes)
    keys = [("", n) for n in range(len(episodes))]
    mine = predictions(work, [(*key, setting) for key in keys])
    theirs = predictions(other, [(*key, "") for key in keys])
    assert [mine[*key, setting] for key in keys] == [theirs[*key, ""] for key in keys]


def test_what_settings_share_is_computed_once(swept):
    work, table, outcomes = swept
    assert len(outcomes) == len(work.passes) == 2, "another grid is another pass"
    for outcome in outcomes:
        rows = {stage["stage"]: stage["rows"] for stage in outcome.stages}
        assert rows["match"] == rows["segment"] == 3, "pictures, not episodes or settings"
    assert len(table) == 4 * (len(SETTINGS) + 1)


@pytest.mark.usefixtures("ray_session")
def test_ray_gives_the_results_of_the_local_engine(swept, episodes, tmp_path):
    _, table, _ = swept
    variants = [variant("points.k=8"), variant(label="given", given_mask=True)]
    _, distributed, _ = run(episodes, tmp_path, variants, engine="ray")
    for label in ("points.k=8", "given"):
        mine, theirs = (without_variant(each, label) for each in (distributed, table))
        for one, other in zip(mine, theirs, strict=True):
            assert one == other


def test_each_support_is_described_once_whoever_shows_it(episodes, tmp_path, caplog):
    with caplog.at_level("INFO", "ipseg"):
        run(episodes, tmp_path, [variant("points.k=8"), variant("points.k=32")])
        run(episodes, tmp_path, [variant("points.k=8"), variant("points.k=32")])
    said = [r.message for r in caplog.records if r.message.startswith("describing")]
    assert said == ["describing 2 supports for 4 episodes"]


def test_the_order_of_a_sweep_is_no_setting(episodes, tmp_path):
    pair = [variant(label="given", given_mask=True), variant(label="isolated")]
    _, first, _ = run(episodes, tmp_path, pair)
    _, second, outcomes = run(episodes, tmp_path, pair[::-1])
    assert second.equals(first)
    assert outcomes[0].done_now == 0


def test_a_support_is_lost_only_to_the_settings_that_cannot_use_it(episodes, swept, tmp_path):
    lost = episodes[0].supports[0]
    moved = tmp_path / "labels.png"
    broken = replace(lost, ground_truth=f"{moved}#label=1")
    damaged = [replace(e, supports=(broken,)) if e.supports == (lost,) else e for e in episodes]
    pair = [variant(label="given", given_mask=True), variant("points.k=32")]
    out = tmp_path / "run"
    _, table, _ = run(damaged, out, pair)
    by_variant = {label: without_variant(table, label) for label in ("given", "points.k=32")}
    assert by_variant["points.k=32"] == without_variant(swept[1], "points.k=32")
    assert [r["status"] for r in by_variant["given"]] == ["failed", "failed", "ok", "ok"]
    assert "labels.png" in by_variant["given"][0]["error_message"]

    Image.open(lost.ground_truth.partition("#")[0]).save(moved)
    _, table, outcomes = run(damaged, out, pair, retry=Retry(("OSError",)))
    assert without_variant(table, "given") == by_variant["given"], "types are of queries"
    assert outcomes[0].done_now == 0
    _, table, outcomes = run(damaged, out, pair, retry=Retry())
    assert without_variant(table, "given") == without_variant(swept[1], "given")
    assert without_variant(table, "points.k=32") == by_variant["points.k=32"]
    assert outcomes[0].done_now == 2, "the pictures that lacked a result"


@given(st.permutations(range(4)), st.integers(0, 4))
def test_results_read_in_another_order_come_to_the_same_number(swept, order, cut):
    table = swept[1].filter(pc.equal(swept[1]["variant"], "points.k=8"))
    rows = table.take(pa.array(order, pa.int64()))
    shuffled = pa.concat_tables([rows.slice(cut), rows.slice(0, cut)]).cast(RESULTS)
    for formula in ("A", "A'", "B", "C", "D"):
        assert measure(formula, shuffled, [1, 2]) == measure(formula, table, [1, 2])
