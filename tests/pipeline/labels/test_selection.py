"""Which objects are labels: thresholds, decisions of people, exclusion."""

import math
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import ConfigError, OutputError
from ipseg.objects import Object
from pipeline.labels.categories import categories
from pipeline.labels.decisions import Decision, Session, mask_hash
from pipeline.labels.review import Review
from pipeline.labels.selection import Selection, exclusive, read_labels, select

NOBODY = Review([])


def square(left, right, concept="cup", score=0.6, **more):
    """An object over some columns of an image of 6 x 8 pixels."""
    mask = np.zeros((6, 8), bool)
    mask[:, left:right] = True
    return Object.of(concept, 1, mask, score, **more)


def about(found, verb, key="a.jpg", **more):
    mask = mask_hash(found.segmentation)
    return Decision(key, verb, found.concept, found.instance, mask, who="ann", **more)


def test_thresholds_are_of_confidence_and_the_least_score_of_scores():
    there = square(0, 2, score=0.6)
    doubted = square(2, 4, score=0.9, evidence={"presence": 0.3})
    dog = square(4, 6, concept="dog", score=0.99)
    objects = [there, doubted, dog]
    assert Selection().of("a", objects, NOBODY) == objects
    chosen = Selection({"cup": 0.5, "dog": math.inf})
    assert chosen.of("a", objects, NOBODY) == [there]
    assert chosen.absent == ["dog"]
    assert Selection(min_score=0.8).of("a", objects, NOBODY) == [doubted, dog]
    assert Selection(min_area=13).of("a", objects, NOBODY) == []


def test_what_people_said_holds_whatever_the_score():
    low, high = square(0, 2, score=0.1), square(2, 4, score=0.9)
    review = Review([about(low, "accept", at="1"), about(high, "reject", at="2")])
    for reviewed in (None, "only", "prefer"):
        (left,) = Selection({"cup": 0.5}, reviewed=reviewed).of("a.jpg", [low, high], review)
        assert (left.score, left.status) == (0.1, "accepted")
    other = square(4, 6, score=0.8)
    assert other in Selection({"cup": 0.5}).of("a.jpg", [low, other], review)
    assert other not in Selection(reviewed="prefer").of("a.jpg", [low, other], review)
    assert other in Selection(reviewed="prefer").of("b.jpg", [low, other], review)
    dog = square(4, 6, "dog", score=0.8)
    chosen = Selection(reviewed="prefer").chosen("a.jpg", [low, other, dog], review)
    assert ([each.concept for each in chosen.labels], chosen.undecided) == (["cup", "dog"], 1)
    chosen = Selection(reviewed="only").chosen("a.jpg", [low, other, dog], review)
    assert ([each.concept for each in chosen.labels], chosen.undecided) == (["cup"], 2)


def test_the_surer_one_keeps_what_both_claim():
    weak, sure = square(0, 5, score=0.5), square(3, 8, "dog", score=0.9)
    inside, other = square(4, 6, "cat", score=0.3), square(0, 8, "cup", score=0.1, frame=1)
    objects = [weak, inside, sure, other]
    chosen = Selection(exclusive=True).chosen("a", objects, NOBODY)
    kept, vanished = chosen.labels, chosen.vanished
    assert [(each.concept, each.area) for each in kept] == [("cup", 18), ("dog", 30), ("cup", 48)]
    assert vanished == [inside]
    chosen = Selection(exclusive=True, min_area=19).chosen("a", objects, NOBODY)
    assert (len(chosen.labels), chosen.vanished) == (2, [weak])


def test_what_people_accepted_keeps_its_pixels():
    accepted, auto = square(0, 4, score=0.2), square(2, 6, score=0.9)
    review = Review([about(accepted, "accept", at="1")])
    kept = Selection(exclusive=True).of("a.jpg", [auto, accepted], review)
    assert [each.area for each in kept] == [12, 24]


@given(st.permutations(range(5)), st.lists(st.sampled_from([0.3, 0.6]), min_size=5, max_size=5))
def test_exclusion_does_not_mind_the_order(order, scores):
    objects = [square(n, n + 4, score=score, instance=n) for n, score in enumerate(scores)]
    straight = exclusive(objects)
    mixed = exclusive([objects[place] for place in order])
    assert [straight[place] for place in order] == mixed


@pytest.fixture
def run(painted):
    found, rows = painted.segment()
    return found.out, {
        key: [Object.from_record(each) for each in row["objects"]] for key, row in rows.items()
    }


def test_relabelled_objects_have_the_number_of_their_new_concept(run):
    out, objects = run
    blue, red = sorted(objects["deep/c.png"], key=lambda each: each.concept)
    Session(out, "ann").add(
        [
            about(blue, "relabel", "deep/c.png", relabel="sky"),
            about(red, "relabel", "deep/c.png", relabel="blue"),
            about(objects["a.png"][0], "relabel", "a.png", relabel="wine"),
        ]
    )
    numbers = {"blue": 1, "red": 2, "sky": 3, "wine": 4}
    assert categories(out, Review.read(out).decisions) == numbers
    rows = {row.key: row for row in read_labels(out, select(out))}
    labels = [(o.concept, o.category_id, o.status) for o in rows["deep/c.png"].objects]
    assert sorted(labels) == [("blue", 1, "accepted"), ("sky", 3, "accepted")]
    assert (rows["a.png"].reviewed, rows["b.png"].reviewed) == (True, False)
    shutil.rmtree(f"{out}/bank")  # numbers are in the rows as well
    assert categories(out, Review.read(out).decisions) == numbers


def test_a_selection_is_checked(run, tmp_path):
    out, objects = run
    for wrong in ({"min_score": 1.5}, {"min_area": -1}):
        with pytest.raises(ConfigError, match="is"):
            select(out, **wrong)
    with pytest.raises(OutputError, match="no run at"):
        select(str(tmp_path / "other"))
    with pytest.raises(OutputError, match="nobody has decided"):
        select(out, reviewed="only")
    Session(out, "ann").add([about(objects["a.png"][0], "accept", "a.png")])
    rows = list(read_labels(out, select(out, reviewed="only")))
    assert [(row.key, len(row.objects)) for row in rows] == [("a.png", 1)]


def test_suggested_thresholds_of_a_run(run):
    out, _ = run
    chosen = select(out, threshold="suggested", exclusive=True)
    assert set(chosen.thresholds) == {"blue", "red"}
