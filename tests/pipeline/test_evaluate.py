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

from ipseg.benchmarks.episode import Episode, Example
from ipseg.benchmarks.protocol import Protocol
from ipseg.benchmarks.results import RESULTS
from ipseg.config import load_config
from ipseg.metrics import measure
from pipeline.evaluate import Evaluation, evaluate
from pipeline.results import predictions, results_table
from pipeline.runfolder.finished import Retry

SMALL = str(Path(__file__).parents[1] / "small.yaml")
TINT = str(Path(__file__).with_name("tint.yaml"))
SETTINGS = (
    "points.k=8",
    "points.k=32",
    "features.sift=null",
    "matching.saliency_weight=0",
    "scoring.min_score=0.9",
    "matching.grid=40",
    "support=mask",
)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    return make_episodes(tmp_path_factory.mktemp("data"))


def make_episodes(root):
    """Two classes, each with one support, asked about in two images; one image has both."""
    noise = np.random.default_rng(0)
    examples = {}
    for n, present in enumerate([(1,), (2,), (1,), (2,), (1, 2)]):
        image = noise.normal(120, 6, (48, 64, 3))
        labels = np.zeros((48, 64), np.uint8)
        for label in present:
            at = 3 + 30 * (label - 1)
            image[10 + n : 34 + n, at : at + 24] = (200, 60, 40) if label == 1 else (30, 80, 190)
            labels[10 + n : 34 + n, at : at + 24] = label
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / f"{n}.png")
        Image.fromarray(labels).save(root / f"labels-{n}.png")
        for label in present:
            address = f"{root}/labels-{n}.png#label={label}"
            examples[n, label] = Example(f"{n}.png", f"{root}/{n}.png", address)
    asked = [(1, 2), (1, 4), (2, 3), (2, 4)]
    return [
        Episode(i, "", c, f"class {c}", examples[q, c], (examples[c - 1, c],))
        for i, (c, q) in enumerate(asked)
    ]


def swept_over(*settings, profile=SMALL):
    """Label -> configuration, a setting each."""
    return {each: load_config(profile, [each]) for each in settings}


def run(episodes, out, variants, **more):
    """(results, outcome) of an evaluation in this process, unless said otherwise."""
    protocol = Protocol(formula="B", side=40)
    work = Evaluation("toy", episodes, protocol, variants, str(out), **{"engine": "local", **more})
    done = evaluate(work)
    return results_table(str(out), work.asked, list(variants)), done.outcome


@pytest.fixture(scope="module")
def swept(episodes, tmp_path_factory):
    """All settings at once: (run folder, results, outcome)."""
    out = tmp_path_factory.mktemp("sweep")
    return (str(out), *run(episodes, out, swept_over(*SETTINGS)))


def of_variant(table, label):
    rows = [r for r in table.to_pylist() if r["variant"] == label]
    return [{k: v for k, v in r.items() if k != "variant"} for r in rows]


def charged(outcome, label):
    """Images that a setting had encoded."""
    costs = outcome.costs.items()
    return sum(cost.encoded for (_, labels), cost in costs if not labels or label in labels)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_sweep_gives_what_each_setting_gives_alone(setting, swept, episodes, tmp_path):
    out, table, outcome = swept
    single, alone = run(episodes, tmp_path, {"": load_config(SMALL, [setting])})
    assert charged(outcome, setting) == charged(alone, "") > 0
    assert of_variant(table, setting) == of_variant(single, "")
    assert len(single) == len(episodes)
    mine = predictions(out, [("", n, setting) for n in range(len(episodes))])
    theirs = predictions(str(tmp_path), [("", n, "") for n in range(len(episodes))])
    for _, number, _ in mine:
        alone = [replace(each, variant=setting) for each in theirs["", number, ""]]
        assert mine["", number, setting] == alone


def test_an_image_goes_through_once_whatever_it_is_asked_for(swept):
    _, table, outcome = swept
    assert outcome.counts["ok"] == 3
    assert {stage["rows"] for stage in outcome.stages} == {3}, "images, not episodes or settings"
    assert len(table) == 4 * len(SETTINGS)
    assert set(table["status"].to_pylist()) == {"ok"}


@pytest.mark.usefixtures("ray_session")
def test_ray_gives_the_results_of_the_local_engine(swept, episodes, tmp_path):
    both = ("points.k=8", "support=mask")
    distributed, outcome = run(episodes, tmp_path, swept_over(*both), engine="ray")
    for label in both:
        assert charged(outcome, label) == charged(swept[2], label)
        assert of_variant(distributed, label) == of_variant(swept[1], label)


def test_the_order_of_a_sweep_is_no_setting(episodes, tmp_path):
    pair = swept_over("support=mask", "support=none")
    first, _ = run(episodes, tmp_path, pair)
    second, outcome = run(episodes, tmp_path, dict(reversed(pair.items())))
    assert second.equals(first)
    assert outcome.done_now == 0


@pytest.fixture
def notes(tmp_path):
    """Folder in which `tint` notes what it works on."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def noted(notes, what):
    return (notes / what).read_text().split("\n")[:-1]


def test_an_evaluation_that_is_stopped_goes_on_and_describes_no_support_again(
    episodes, tmp_path, notes
):
    variants = {
        label: load_config(
            TINT, [f"notes={notes}", label, "runtime.part_rows=1", "runtime.batch_size=1"]
        )
        for label in ("near=40", "near=80")
    }
    (notes / "stop").write_text("4.png\n")
    with pytest.raises(KeyboardInterrupt):
        run(episodes, tmp_path / "run", variants)
    (notes / "stop").unlink()
    table, outcome = run(episodes, tmp_path / "run", variants)
    assert len(noted(notes, "prompts")) == 2, "two supports, for four episodes and two settings"
    assert outcome.before > 0
    assert sorted(noted(notes, "images")) == sorted(["2.png", "3.png", "4.png"] * 2)
    assert table.equals(run(episodes, tmp_path / "whole", variants)[0])


def test_a_support_is_lost_only_to_the_settings_that_cannot_use_it(episodes, swept, tmp_path):
    lost = episodes[0].supports[0]
    moved = tmp_path / "labels.png"
    broken = replace(lost, ground_truth=f"{moved}#label=1")
    damaged = [replace(e, supports=(broken,)) if e.supports == (lost,) else e for e in episodes]
    pair = swept_over("support=mask", "points.k=32")
    out = tmp_path / "run"
    table, outcome = run(damaged, out, pair)
    before = {label: of_variant(table, label) for label in pair}
    assert before["points.k=32"] == of_variant(swept[1], "points.k=32")
    assert [r["status"] for r in before["support=mask"]] == ["failed", "failed", "ok", "ok"]
    assert "labels.png" in before["support=mask"][0]["error_message"]
    assert outcome.counts["failed"] == 0, "the images themselves are fine"

    Image.open(lost.ground_truth.partition("#")[0]).save(moved)
    table, outcome = run(damaged, out, pair)  # a file that was missing is there
    assert of_variant(table, "support=mask") == of_variant(swept[1], "support=mask")
    assert of_variant(table, "points.k=32") == before["points.k=32"]
    assert outcome.done_now == 2, "the images that lacked a result"
    assert run(damaged, out, pair, retry=Retry())[1].done_now == 0


def test_queries_and_ground_truth_that_cannot_be_read_are_tried_again(tmp_path):
    whole = make_episodes(tmp_path)
    variants = {"": load_config(TINT)}
    expected, _ = run(whole, tmp_path / "whole", variants)
    truth, image = tmp_path / "labels-2.png", tmp_path / "3.png"
    for path in (truth, image):
        path.rename(path.with_suffix(".gone"))
    table, outcome = run(whole, tmp_path / "run", variants)
    assert table["status"].to_pylist() == ["failed", "ok", "failed", "ok"]
    messages = table["error_message"].to_pylist()
    assert "labels-2.png" in messages[0]
    assert "3.png" in messages[2]
    assert outcome.counts == {"ok": 2, "empty": 0, "failed": 1, "poisoned": 0}
    for path in (truth, image):
        path.with_suffix(".gone").rename(path)
    table, outcome = run(whole, tmp_path / "run", variants, retry=Retry())
    assert table.equals(expected)
    assert outcome.done_now == 2


def test_frames_of_a_sequence_are_judged_one_by_one(tmp_path):
    """What is in no frame that is asked about does not count."""
    masks, frames = [], []
    for n in range(3):
        image = np.full((40, 60, 3), 120, np.uint8)
        image[5:25, 4 + n : 24 + n] = (200, 40, 40)
        labels = (image[..., 0] == 200).astype(np.uint8)
        (tmp_path / "v").mkdir(exist_ok=True)
        frames.append(tmp_path / "v" / f"{n + 9}.png")
        masks.append(tmp_path / f"labels-{n}.png")
        Image.fromarray(image).save(frames[n])
        Image.fromarray(labels if n != 1 else labels * 0).save(masks[n])
    examples = [
        Example(f"v/{frame.name}", str(frame), f"{mask}#label=1")
        for frame, mask in zip(frames, masks, strict=True)
    ]
    asked = [Episode(n, "", 1, "box", examples[n], (examples[0],)) for n in range(3)]
    config = load_config(TINT, ["method=tint:TintInSequences"])
    table, outcome = run(asked, tmp_path / "run", {"": config})
    assert outcome.counts["ok"] == 1, "one sequence"
    assert table["query"].to_pylist() == ["v/9.png", "v/10.png", "v/11.png"]
    truth, both = (table[name].to_pylist() for name in ("ground_truth", "intersection"))
    assert both == truth
    assert [n > 0 for n in truth] == [True, False, True]
    found = predictions(str(tmp_path / "run"), [("", n, "") for n in range(3)])
    assert [[each.frame for each in found["", n, ""]] for n in range(3)] == [[0], [1], [2]]


@given(st.permutations(range(4)), st.integers(0, 4))
def test_results_read_in_another_order_come_to_the_same_number(swept, order, cut):
    table = swept[1].filter(pc.equal(swept[1]["variant"], "points.k=8"))
    rows = table.take(pa.array(order, pa.int64()))
    shuffled = pa.concat_tables([rows.slice(cut), rows.slice(0, cut)]).cast(RESULTS)
    for formula in ("A", "A'", "B", "C", "D"):
        assert measure(formula, shuffled, [1, 2]) == measure(formula, table, [1, 2])


@pytest.mark.parametrize("changed", ["labels-2.png", "labels-0.png", "2.png"])
def test_numbers_are_those_of_the_files_as_they_are(tmp_path, changed):
    """Ground truth of a query, of a support, and a query itself, replaced between two starts."""
    whole = make_episodes(tmp_path)
    variants = {"": load_config(TINT)}
    before, _ = run(whole, tmp_path / "run", variants)
    path = tmp_path / changed
    pixels = np.array(Image.open(path))
    pixels[:20] = 0
    Image.fromarray(pixels).save(path)
    expected, _ = run(whole, tmp_path / "fresh", variants)
    again, outcome = run(whole, tmp_path / "run", variants)
    assert again.equals(expected)
    assert again.equals(before) == (changed == "labels-0.png"), "its colours are the same"
    assert 1 <= outcome.done_now < 3, "only what it is made of"
    _, outcome = run(whole, tmp_path / "run", variants)
    assert outcome.done_now == 0
