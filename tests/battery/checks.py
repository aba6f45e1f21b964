"""What every method must do, whatever it finds: with tiny random weights that is anything."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from ended import Ended
from scenes import NAMES
from seen import watched
from subject import Found, Subject, banks_of, described, differences, found, found_in, name_of

from ipseg.bank import Bank, PromptsInMemory
from ipseg.columns import ERROR_COLUMNS, from_table, to_table
from ipseg.methods.chain import image_chain
from ipseg.objects import Object
from ipseg.prompts import find_prompts
from ipseg.rows import Arrays, Mask, Row, check_chain
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png
from ipseg.vision.mask_files import read_mask
from ipseg.weights.catalogue import needs
from pipeline.engines.ray_worker import run_in_task
from pipeline.job import SOURCE_COLUMNS
from pipeline.segment import Request, segment
from pipeline.stages.record import FailureBudget, RunRecord
from pipeline.stages.run_stage import run_stage
from pipeline.stages.stage import build_stages

BATCH = 2
THREE = ("cup", "cat", "both")


def check_method(subject: Subject, folder: Path, subtests: pytest.Subtests) -> None:
    """Tries a method on everything below; each check is reported by its name.

    Args:
        subject: the method with its settings.
        folder: empty.
        subtests: of pytest.
    """
    for check in CHECKS:
        with subtests.test(check.__name__):
            (folder / check.__name__).mkdir()
            check(subject, folder / check.__name__)


def finds_sound_objects(subject: Subject, _: Path) -> None:
    """Every image gives a row: with the concept, without it, turned, broken."""
    assert list(subject.usual) == [*NAMES]
    assert [name for name, row in subject.usual.items() if row["error"]] == ["broken"]
    assert any(row["objects"] for row in subject.usual.values())
    frames = 2 if subject.config.method.row_is == "sequence" else 1
    for name, row in subject.usual.items():
        objects = [Object.from_record(record) for record in row["objects"]]
        for each in objects:
            assert each.category_id == subject.bank.categories[each.concept]
            assert 0 <= each.score <= 1
            assert each.mask.shape == subject.scenes.shape(name)
            assert each.area > 0, "an object without a pixel is none"
            assert 0 <= each.frame < frames
            values = [*each.evidence.values(), each.predicted_iou]
            assert all(value is None or np.isfinite(value) for value in values)
            assert set(each.points[:, 2]) <= {0, 1}
        places = [(each.concept, each.frame, each.instance) for each in objects]
        assert len(set(places)) == len(places), "an instance has one mask in a frame"


def finds_the_same_in_any_batch(subject: Subject, _: Path) -> None:
    """Rows do not know who is in the batch with them."""
    rows = run_local(subject.steps, subject.images, 1)
    assert not differences(found(rows), subject.usual), "one by one"
    rows = list(run_local(subject.steps, subject.images[::-1], len(subject.images)))
    assert not differences(found(rows[::-1]), subject.usual), "all at once, in the other order"


def finds_what_a_row_asks_for(subject: Subject, _: Path) -> None:
    """As if nothing else was in the bank; what it does not have fails its row alone."""
    asked: dict[str, list[str]] = {
        **{"cup": ["cup"], "cat": ["cat"], "both": ["cup", "cat"], "twice": ["cat", "cat"]},
        **{"nothing": [], "unknown": ["dog"], "unknown too": ["cat", "dog"]},
    }
    (image,) = (row for row in subject.images if name_of(row) == "both")
    rows = [
        {**image, "key": key, "asks": [{"concept": name} for name in names]}
        for key, names in asked.items()
    ]
    expected: Found = {
        key: {"error": "PromptError", "objects": []}
        if "dog" in names
        else subject.found_of(*dict.fromkeys(names))["both"]
        for key, names in asked.items()
    }
    assert not differences(found(run_local(subject.steps, rows)), expected)


@dataclass
class Partly(Bank):
    """A bank of which one concept cannot be used."""

    whole: Bank
    lost: str

    @property
    def identity(self) -> tuple[str, ...]:
        return (*self.whole.identity, self.lost)

    @property
    def categories(self) -> dict[str, int]:
        return dict(self.whole.categories)

    def features(self, concept: str) -> Arrays:
        assert concept != self.lost
        return self.whole.features(concept)

    def failure(self, concept: str) -> str | None:
        return "its prompt is empty" if concept == self.lost else None


def leaves_out_what_the_bank_cannot_give(subject: Subject, _: Path) -> None:
    """A concept whose prompt failed costs no other concept, and no row."""
    steps = subject.steps_for(Partly(subject.bank, "cup"))
    usual = subject.found_of("cat")
    expected = {name: usual[name] for name in THREE}
    images = [row for row in subject.images if name_of(row) in THREE]
    assert not differences(found(run_local(steps, images, BATCH)), expected)
    (row,) = run_local(steps, [{**subject.images[0], "asks": [{"concept": "cup"}]}])
    assert row.get("error_message") is None
    assert row["objects"] == []


def refuses_supports_that_cannot_be_used(subject: Subject, folder: Path) -> None:
    """An empty mask, one of another size, a broken image: an error by name; others go on.

    One pixel, a blank image and one that is all object are odd: they may be refused or used, but
    what is kept of them is finite, and images can be matched with it.
    """
    config = replace(subject, more=(*subject.more, "support=mask")).config
    good = next(row for row in find_prompts(str(subject.scenes.prompts)) if row["concept"] == "cup")
    mask = read_mask(Path(good["given_mask"].removesuffix("#object")).read_bytes())
    image = Path(good["uri"]).read_bytes()
    blank = encode_png(np.full((*mask.shape, 3), 128, np.uint8))
    pixel = np.zeros_like(mask)
    pixel[len(mask) // 2, mask.shape[1] // 2] = True

    def prompt(name: str, image: bytes, mask: Mask) -> Row:
        (folder / f"{name}.png").write_bytes(image)
        (folder / f"{name}.mask.png").write_bytes(encode_png(mask.astype(np.uint8) * 255))
        given = f"{folder}/{name}.mask.png#object"
        return {"key": name, "concept": name, "uri": f"{folder}/{name}.png", "given_mask": given}

    bad = [
        prompt("empty", image, np.zeros_like(mask)),
        prompt("small", image, mask[5:]),
        prompt("cut", image[:600], mask),
    ]
    odd = [
        prompt("pixel", image, pixel),
        prompt("blank", blank, mask),
        prompt("full", image, np.ones_like(mask)),
    ]
    done = described({"": config}, [*bad, *odd, good])
    errors = {row["concept"]: row.get("error_type") for row in done}
    assert errors["cup"] is None
    if config.method.prompted_by == "name":
        assert not any(errors.values()), "its images are not looked at"
        return
    assert [errors[row["concept"]] for row in bad] == ["PromptError", "PromptError", "ImageError"]
    assert f"{folder}/empty.png is empty" in done[0]["error_message"]
    assert all(errors[row["concept"]] in (None, "PromptError") for row in odd)
    bank = PromptsInMemory(
        [row for row in done if row.get("error_type") is None], config.method.merge
    )
    for entry in bank.asked({}):
        for name, array in entry.features.items():
            assert np.isfinite(array).all(), (entry.concept, name)
    (row,) = run_local(subject.steps_for(bank), subject.images[:1])
    assert row.get("error_message") is None
    assert all(0 <= each.score <= 1 for each in row["objects"])


def finds_the_support_in_its_own_image(subject: Subject, _: Path) -> None:
    """A query that is the support is one like any other; without weights it is found, too."""
    row = subject.usual["cup"]
    assert row["error"] is None
    if needs(subject.config.resolved):
        return  # random weights may find nothing
    truth = read_mask((subject.scenes.prompts / "cup.mask.png").read_bytes())
    mine, *_ = (Object.from_record(o).mask for o in row["objects"] if o["concept"] == "cup")
    assert mine[truth].mean() > 2 * mine[~truth].mean(), "more on the object than beside it"


def sweeps_as_it_runs_alone(subject: Subject, _: Path) -> None:
    """Variants side by side find what each finds by itself, and see an image once.

    However many concepts and variants look at it, no network gets the same pixels again.
    """
    prompts = find_prompts(str(subject.scenes.prompts))
    images = subject.images[:BATCH]
    steps = image_chain(subject.variants, banks_of(subject.variants, prompts))
    prepare(steps)
    rows, batches = [], []
    for start in range(0, len(images), BATCH):
        with watched() as seen:
            rows += run_local(steps, images[start : start + BATCH], BATCH)
        batches.append(seen)
    assert len(subject.variants) > 1
    for label, config in subject.variants.items():
        if label:
            alone = image_chain({"": config}, banks_of({"": config}, prompts))
            prepare(alone)
            expected = found(run_local(alone, images, BATCH))
        else:
            expected = {name_of(row): subject.usual[name_of(row)] for row in images}
        assert any(row["objects"] for row in expected.values())
        assert not differences(found(rows, label), expected), label
    # A video is not held in memory: it passes once for each variant.
    most = len(subject.variants) if subject.config.method.row_is == "sequence" else 1
    # Batch by batch: windows cut out of two images can be the same.
    for seen in batches:
        assert set(seen.pixels.values()) <= {*range(1, most + 1)}, "the same pixels twice"
        if most > 1:
            continue
        assert set(seen.batches.values()) <= {1}
        if any(step.networks for step in steps):
            assert seen.batches, "no part remembers its last batch"
        if needs(subject.config.resolved):
            assert seen.pixels, "no network begins with a convolution over colours"


def travels_between_workers(subject: Subject, _: Path) -> None:
    """Through pickles and tables, as Ray's workers hand on steps and rows, it finds the same."""
    steps = image_chain({"": subject.config}, {"": subject.bank})
    check_chain(steps, SOURCE_COLUMNS)
    stages = build_stages(steps, SOURCE_COLUMNS, ("key", "objects"))
    record = RunRecord(FailureBudget(1.0))
    asks = [{**subject.images[0], "key": "asks", "asks": [{"concept": "cup"}]}]
    table = to_table([*subject.images, *asks], [*SOURCE_COLUMNS, *ERROR_COLUMNS])
    for stage in pickle.loads(pickle.dumps(stages)):  # noqa: S301
        if stage.actor:
            prepare(stage.steps)
            table = run_stage(stage, record, table)
        else:
            table = run_in_task(table, stage, record, threads=1)
    expected = {**subject.usual, "asks": subject.found_of("cup")[NAMES[0]]}
    assert not differences(found(from_table(table)), expected)


def edits_nothing_in_place(subject: Subject, _: Path) -> None:
    """Rows that a step was given are as they were: others may still hold them."""
    rows: list[Row] = subject.images[:1]
    for step in subject.steps:
        before = pickle.dumps(rows)
        done = step(rows)
        assert pickle.dumps(rows) == before, step.name
        rows = done


def goes_on_where_it_was_ended(subject: Subject, folder: Path) -> None:
    """Ended in its middle and started again, it leaves what an undisturbed run leaves."""
    config = replace(
        subject, more=(*subject.more, "runtime.part_rows=2", "runtime.batch_size=1")
    ).config
    out = str(folder / "run")
    first, second = Ended(after=3), Ended(after=None)

    def run(step: Ended) -> None:
        prompts = str(subject.scenes.prompts)
        images = str(subject.scenes.source(config.method.row_is))
        segment(Request(images, out, config, prompts, engine="local", steps=[step]))

    with pytest.raises(KeyboardInterrupt):
        run(first)
    run(second)
    assert len(first.seen) == 3
    assert 0 < len(second.seen) < len(NAMES) - 1, "what was written is not done again"
    assert {*first.seen, *second.seen} == {*NAMES} - {"broken"}
    assert not differences(found_in(out), subject.usual)


CHECKS = (
    finds_sound_objects,
    finds_the_same_in_any_batch,
    finds_what_a_row_asks_for,
    leaves_out_what_the_bank_cannot_give,
    refuses_supports_that_cannot_be_used,
    finds_the_support_in_its_own_image,
    sweeps_as_it_runs_alone,
    travels_between_workers,
    edits_nothing_in_place,
    goes_on_where_it_was_ended,
)
