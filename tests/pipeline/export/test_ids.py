"""Numbers stay, whatever comes and goes; sides of a split too."""

import numpy as np
import pytest

from ipseg.errors import ConfigError, OutputError
from ipseg.objects import Object
from pipeline.export.ids import Ids, Numbers, annotation_hash, image_hash
from pipeline.export.splits import Splits, fraction

KEYS = [f"k{n}" for n in range(500)]


def numbered(keys, ids=None):
    ids = ids or Ids()
    for key in keys:
        ids.images.add(image_hash(key))
    ids.images.assign()
    return ids


def of(ids, keys):
    return {key: ids.images.of(image_hash(key)) for key in keys}


def test_numbers_begin_at_one_in_the_order_of_hashes_and_stay(tmp_path):
    to = str(tmp_path)
    first = numbered(KEYS[:300])
    before = of(first, KEYS[:300])
    assert sorted(before.values()) == list(range(1, 301))
    assert sorted(before, key=before.get) == sorted(before, key=image_hash)
    digest = first.write(to, "coco")
    # Some are gone, others are new, in another order.
    second = numbered(reversed(KEYS[100:]), Ids.read(to, "coco"))
    after = of(second, KEYS[100:])
    assert all(after[key] == before[key] for key in KEYS[100:300])
    assert sorted(after[key] for key in KEYS[300:]) == list(range(301, 501))
    assert numbered(KEYS[:300]).write(to, "coco") == digest, "the same numbers, the same file"


def test_a_key_that_was_never_noted_has_no_number():
    with pytest.raises(OutputError, match="has changed"):
        numbered(KEYS).images.of(image_hash("another"))
    with pytest.raises(OutputError, match="has changed"):
        Ids().images.of(image_hash("k0"))


def test_hashes_that_agree_in_their_first_half_are_told_apart():
    half = bytes(range(8))
    values = [half + bytes([n]) * 8 for n in (3, 1, 2)]
    numbers = Numbers()
    for value in values[:2]:
        numbers.add(value)
    numbers.assign()
    for value in values:
        numbers.add(value)
    numbers.assign()
    assert [numbers.of(value) for value in values] == [2, 1, 3]


def test_an_object_is_known_by_image_frame_concept_and_number():
    mask = np.ones((2, 2), bool)
    objects = [
        Object.of(concept, 1, mask, 0.5, instance=instance, frame=frame)
        for concept in ("cup", "cat")
        for instance in (0, 1)
        for frame in (0, 1)
    ]
    hashes = {annotation_hash(key, each) for key in ("a", 'a", 0') for each in objects}
    assert len(hashes) == 16
    again = Object.of("cup", 7, ~mask, 0.1)
    assert annotation_hash("a", again) == annotation_hash("a", objects[0])


def test_concepts_keep_their_numbers_and_another_format_is_refused(tmp_path):
    ids = Ids()
    ids.add_concepts(["cup", "cat"])
    ids.write(str(tmp_path), "coco")
    again = Ids.read(str(tmp_path), "coco")
    again.add_concepts(["ape", "cat", "cup"])
    assert again.categories == {"cup": 1, "cat": 2, "ape": 3}
    with pytest.raises(OutputError, match="holds an export of format coco"):
        Ids.read(str(tmp_path), "yolo-seg")
    (tmp_path / "ids.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(OutputError, match="is damaged"):
        Ids.read(str(tmp_path), "coco")


def test_shares_are_kept_and_more_for_validation_moves_from_train_alone():
    keys = [f"{n}.jpg" for n in range(4000)]
    tenth, fifth = (Splits.parse(f"train={1 - p},val={p}") for p in (0.1, 0.2))
    few = {key for key in keys if tenth.side(key, {}) == "val"}
    many = {key for key in keys if fifth.side(key, {}) == "val"}
    assert few < many
    assert len(few) / 4000 == pytest.approx(0.1, abs=0.02)
    assert len(many) / 4000 == pytest.approx(0.2, abs=0.02)
    three = Splits.parse("train=0.7,val=0.2,test=0.1")
    assert {key for key in keys if three.side(key, {}) == "val"} == many
    other = Splits.parse("train=0.8,val=0.2", salt="other")
    assert {key for key in keys if other.side(key, {}) == "val"} != many
    assert fraction("ipseg", "a.jpg") == pytest.approx(0.394845, abs=1e-6), "the same for ever"


def test_groups_stay_together_and_a_column_may_decide():
    by_folder = Splits.parse("train=0.5,val=0.5", by="folder")
    for folder in range(20):
        assert len({by_folder.side(f"{folder}/{n}.jpg", {}) for n in range(20)}) == 1
    by_video = Splits.parse("train=0.5,val=0.5", by="video")
    assert by_video.carried == ("video",)
    assert len({by_video.side(str(n), {"video": 7}) for n in range(20)}) == 1
    named = Splits.parse(None, column="split")
    assert named.side("a", {"split": "test"}) == "test"
    for bad in (None, "../x", ""):
        with pytest.raises(ConfigError, match=r"split"):
            named.side("a", {"split": bad})


@pytest.mark.parametrize(
    "text", ["train", "train=x", "train=0.5", "train=0.5,val=0.6", "a/b=1", "=1", "train=2,val=-1"]
)
def test_splits_that_make_no_sense_are_refused(text):
    with pytest.raises(ConfigError, match="split"):
        Splits.parse(text)
