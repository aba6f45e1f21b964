"""Objects against ground truth, ask by ask."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipseg.benchmarks.ground_truth import rle_address
from ipseg.benchmarks.protocol import Protocol
from ipseg.metrics import Boundary, Region
from ipseg.objects import Object
from ipseg.steps.judge import Judge, assign_argmax, resize_mask
from ipseg.vision.masks import encode_rle

HEIGHT, WIDTH = 20, 30


class Names:
    """All that a judge asks a bank."""

    def __init__(self, **failures):
        self.failures = failures

    def failure(self, concept):
        return self.failures.get(concept)


def box(columns, rows=slice(5, 15)):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[rows, columns] = True
    return mask


def address(mask):
    return rle_address(encode_rle(mask))


def ask(concept, mask, **more):
    about = {"episode": 7, "fold": "1", "class_id": 3, "class_name": concept, "frame": 0}
    return {"concept": concept, **about, "ground_truth": address(mask), **more}


def row(objects=(), asks=(), **more):
    size = {"key": "deep/a.jpg", "width": WIDTH, "height": HEIGHT}
    return {**size, "objects": list(objects), "asks": list(asks), **more}


def judged(given_row, protocol=Protocol(), **banks):  # noqa: B008  (frozen)
    (done,) = Judge(protocol, banks or {"": Names()})([given_row])
    assert given_row.keys() <= done.keys()
    return done["metrics"]


def counts(metric):
    return [metric[name] for name in ("intersection", "union", "ground_truth", "predicted")]


def test_a_metric_says_what_was_asked_and_what_was_found():
    found = [
        Object.of("cup", 1, box(slice(10, 15)), 0.375, predicted_iou=0.5),
        Object.of("cup", 1, box(slice(15, 22)), 0.75, predicted_iou=0.625, instance=1),
        Object.of("cup", 1, box(slice(23, 24)), 0.25, predicted_iou=1.0, instance=2),
    ]
    (metric,) = judged(row(found, [ask("cup", box(slice(10, 20)))]))
    assert counts(metric) == [100, 120, 100, 120], (
        "all objects of the concept together, but one that is weak beside the best"
    )
    assert (metric["score"], metric["predicted_iou"]) == (0.75, 0.625), "of the best one"
    assert metric["pixels"] == HEIGHT * WIDTH
    assert {n: metric[n] for n in ("concept", "episode", "fold", "class_id", "variant")} == {
        **{"concept": "cup", "episode": 7, "fold": "1", "class_id": 3, "variant": ""}
    }
    assert (metric["status"], metric["error_message"]) == ("ok", None)


def test_nothing_found_counts_against_the_truth():
    (metric,) = judged(row([], [ask("cup", box(slice(10, 20)))]))
    assert counts(metric) == [0, 100, 100, 0]
    assert (metric["score"], metric["predicted_iou"]) == (0.0, 0.0)


def test_each_ask_is_judged_by_its_own_concept_frame_and_variant():
    left, right = box(slice(0, 10)), box(slice(20, 30))
    found = [
        Object.of("cup", 1, left, 0.5, variant="a"),
        Object.of("cup", 1, right, 0.5, frame=2, variant="a"),
        Object.of("cat", 2, right, 0.5, variant="a"),
        Object.of("cup", 1, right, 0.5, variant="b"),
    ]
    asks = [ask("cup", left), ask("cup", right, frame=2), ask("cat", left), ask("cup", left)]
    metrics = judged(row(found, asks), a=Names(), b=Names())
    assert [(m["variant"], m["concept"], m["frame"], m["intersection"]) for m in metrics] == [
        *(("a", "cup", 0, 100), ("a", "cat", 0, 0), ("a", "cup", 0, 100)),
        *(("b", "cup", 0, 0), ("b", "cat", 0, 0), ("b", "cup", 0, 0)),
        *(("a", "cup", 2, 100), ("b", "cup", 2, 0)),
    ]


def test_what_could_not_be_done_is_failed_with_its_reason_and_the_rest_is_judged():
    mask = box(slice(0, 10))
    found = [Object.of(name, 1, mask, 0.5, variant=v) for name in ("cup", "cat") for v in "ab"]
    lost = [{"chain": "b", "error_stage": "match", "error_type": "E", "error_message": "no grid"}]
    asks = [ask("cup", mask), ask("cat", mask, ground_truth="no address"), ask("dog", mask)]
    metrics = judged(
        row(found, asks, chain_errors=lost), a=Names(dog="dog.jpg cannot be used: x"), b=Names()
    )
    assert [(m["status"], m["error_message"]) for m in metrics] == [
        ("ok", None),
        ("failed", "no address is not an address of ground truth"),
        ("failed", "dog.jpg cannot be used: x"),
        *[("failed", "no grid")] * 3,
    ]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "this image has no ground truth"),
        (address(np.ones((HEIGHT, WIDTH + 1), bool)), "is 31x20 pixels, its image 30x20"),
        ("missing.png#object", "missing.png"),
        ('rle:{"size":[2,2],"counts":""}', "damaged run lengths"),
    ],
)
def test_ground_truth_that_cannot_be_used_fails_its_ask_alone(where, message):
    good = ask("cup", box(slice(0, 10)))
    bad, other = judged(row([], [{**good, "ground_truth": where}, good]))
    assert bad["status"] == "failed"
    assert message in bad["error_message"]
    assert other["status"] == "ok"


def test_of_a_crop_the_same_part_of_the_ground_truth_counts():
    whole = np.zeros((50, 60), bool)
    whole[15:25, 20:30] = True
    given_row = row([], [ask("cup", whole)], crop=[10, 10, 10 + WIDTH, 10 + HEIGHT])
    (metric,) = judged(given_row)
    assert (metric["ground_truth"], metric["pixels"]) == (100, HEIGHT * WIDTH)


def test_pixels_that_ground_truth_leaves_open_count_neither_way(tmp_path):
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[5:15, 10:20], labels[5:15, 20:25] = 1, 255
    cv2.imwrite(str(tmp_path / "a.png"), labels)
    where = f"{tmp_path}/a.png#label=1&ignore=255"
    found = [Object.of("cup", 1, box(slice(10, 30)), 0.5)]
    (metric,) = judged(row(found, [ask("cup", labels == 1, ground_truth=where)]))
    assert counts(metric) == [100, 150, 100, 150]
    assert metric["pixels"] == HEIGHT * WIDTH - 50


def test_masks_are_compared_at_the_resolution_of_the_protocol():
    mask = box(slice(10, 20))
    found = [Object.of("cup", 1, mask, 0.5)]
    (metric,) = judged(row(found, [ask("cup", mask)]), Protocol(side=60))
    assert (metric["pixels"], metric["ground_truth"]) == (3600, 20 * 30)
    linear = Protocol(side=60, ground_truth_resize="linear")
    (grown,) = judged(row(found, [ask("cup", mask)]), linear)
    assert grown["ground_truth"] > metric["ground_truth"], "a border is added"
    assert grown["predicted"] == metric["predicted"]


def test_outlines_are_compared_where_the_protocol_has_them():
    predicted, mask = box(slice(11, 21)), box(slice(10, 20))
    found = [Object.of("cup", 1, predicted, 0.5)]
    (metric,) = judged(row(found, [ask("cup", mask)]), Protocol(boundaries=True))
    expected = Boundary.of(predicted, mask)
    assert metric["ground_truth_matched"] == expected.ground_truth_matched
    assert metric["predicted_boundary"] == expected.predicted_boundary
    assert metric["intersection"] == Region.of(predicted, mask).intersection
    assert "ground_truth_matched" not in judged(row(found, [ask("cup", mask)]))[0]


def test_what_has_no_ground_truth_is_not_judged_and_no_mask_is_kept():
    wide = box(slice(0, 20))
    found = [Object.of("cup", 1, wide, 0.5, frame=frame) for frame in range(3)]
    asks = [ask("cup", wide, frame=frame) for frame in (2, 1)]
    given_row = row(found, [{"concept": "cup", "frame": 0, "ground_truth": None}, *asks])
    assert [m["frame"] for m in judged(given_row)] == [1, 2]
    assert not any("mask" in vars(each) for each in found), "a long video has many"


def test_by_argmax_a_pixel_belongs_to_the_concept_with_the_highest_score_of_its_frame():
    wide, narrow = box(slice(0, 20)), box(slice(10, 30))
    found = [
        Object.of("cup", 1, wide, 0.5),
        Object.of("cat", 2, narrow, 0.7),
        Object.of("cup", 1, wide, 0.9, frame=1),
        Object.of("cat", 2, narrow, 0.1, frame=1),
    ]
    asks = [ask(name, wide, frame=frame) for frame in (0, 1) for name in ("cup", "cat")]
    metrics = judged(row(found, asks), Protocol(assign="argmax"))
    assert [m["predicted"] for m in metrics] == [100, 200, 200, 100]
    assert [m["predicted"] for m in judged(row(found, asks))] == [200] * 4


masks = hnp.arrays(np.bool_, (3, 4))


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(masks, st.integers(0, 3))))
def test_masks_that_are_assigned_do_not_overlap_and_cover_the_same(found):
    given_masks = {place: mask for place, (mask, _) in found.items()}
    scores = {place: float(score) for place, (_, score) in found.items()}
    alone = assign_argmax(given_masks, scores)
    assert alone.keys() == given_masks.keys()
    total = np.sum([mask.astype(int) for mask in alone.values()], axis=0)
    assert np.all(total <= 1)
    for y, x in np.ndindex(3, 4):
        owners = [place for place, mask in given_masks.items() if mask[y, x]]
        mine = [place for place, mask in alone.items() if mask[y, x]]
        # The highest score, and among equals the first by name.
        assert mine == sorted(owners, key=lambda place: (-scores[place], place))[:1]


@given(
    hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)),
    st.integers(1, 20),
)
def test_a_resized_mask_is_bits_and_all_or_nothing_stays_so(mask, side):
    assert resize_mask(mask, None, "nearest") is mask
    nearest, linear = (resize_mask(mask, side, rule) for rule in ("nearest", "linear"))
    assert nearest.shape == linear.shape == (side, side)
    assert nearest.dtype == linear.dtype == np.bool_
    if mask.all():
        assert nearest.all()
        assert linear.all()
    if not mask.any():
        assert not nearest.any()
        assert not linear.any()
