"""Decisions of people: written by sessions of their own, folded into what holds."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.errors import OutputError
from ipseg.objects import Object
from pipeline.labels.decisions import (
    Decision,
    DecisionFiles,
    Session,
    mask_hash,
    read_decisions,
)
from pipeline.labels.review import Review


def cup(value=1, concept="cup", instance=0, score=0.6):
    mask = np.zeros((6, 8), bool)
    mask[:value, :value] = True
    return Object.of(concept, 1, mask, score, instance=instance)


def about(found, verb, key="a.jpg", **more):
    mask = mask_hash(found.segmentation)
    return Decision(key, verb, found.concept, found.instance, mask, **more)


def test_two_sessions_at_once_lose_nothing(tmp_path):
    out = str(tmp_path)
    sessions = [Session(out, who) for who in ("ann", "bob")]

    def work(session):
        for number in range(120):
            session.add([about(cup(), "accept", f"{session.who}-{number}.jpg")] * 5)

    threads = [threading.Thread(target=work, args=(each,)) for each in sessions]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    read = read_decisions(out)
    assert len(read) == len({each.id for each in read}) == 1200
    assert [each.seq for each in read if each.who == "ann"] == list(range(1, 601))


@given(st.lists(st.integers(1, 1300), min_size=1, max_size=4))
def test_any_number_is_kept_in_order(tmp_path_factory, batches):
    out = str(tmp_path_factory.mktemp("run"))
    session = Session(out, "ann")
    for number in batches:
        session.add([about(cup(), "accept")] * number)
    assert [each.seq for each in read_decisions(out)] == list(range(1, sum(batches) + 1))


def test_a_file_that_is_none_of_decisions_is_named(tmp_path):
    Session(str(tmp_path), "ann").add([about(cup(), "accept")])
    (file,) = (tmp_path / "review").iterdir()
    file.write_text(file.read_text() + "{oops\n")
    with pytest.raises(OutputError, match=r"line 2: is no decision"):
        read_decisions(str(tmp_path))
    file.write_text(json.dumps({"v": 9, "key": "a", "decision": "accept"}))
    with pytest.raises(OutputError, match="another version"):
        read_decisions(str(tmp_path))


@pytest.fixture
def review(tmp_path):
    def made(*decisions, who="ann"):
        Session(str(tmp_path), who).add(decisions)
        return Review.read(str(tmp_path))

    return made


def test_the_last_decision_holds_and_undo_takes_it_back(tmp_path, review):
    found = cup()
    session = Session(str(tmp_path), "ann")
    (accepted,) = session.add([about(found, "accept")])
    (rejected,) = session.add([about(found, "reject", reason="wrong")])
    verdict = Review.read(str(tmp_path)).verdict("a.jpg", found)
    assert (verdict.status, verdict.reason) == ("rejected", "wrong")
    session.add([Decision("", "undo", undoes=rejected.id)])
    assert Review.read(str(tmp_path)).verdict("a.jpg", found).status == "accepted"
    session.add([Decision("", "undo", undoes=accepted.id)])
    assert not Review.read(str(tmp_path)).verdict("a.jpg", found).decided


def test_a_decision_holds_for_its_mask_alone(review):
    after = review(about(cup(2), "reject"))
    assert after.verdict("a.jpg", cup(2)).status == "rejected"
    other = after.verdict("a.jpg", cup(3))
    assert (other.status, other.before) == ("auto", "rejected")
    assert after.verdict("b.jpg", cup(2)).status == "auto"


def test_a_concept_that_is_not_in_the_image(review):
    absent = Decision("a.jpg", "reject", "cup")
    after = review(absent, about(cup(3, instance=1), "accept"))
    assert [each.area for each in after.apply("a.jpg", [cup(2), cup(3, instance=1)])] == [9]


def test_relabelled_and_repaired(review):
    found = cup(2)
    after = review(
        about(found, "relabel", relabel="bowl"),
        about(found, "edit", segmentation=cup(4).segmentation),
    )
    (left,) = after.apply("a.jpg", [found])
    assert (left.concept, left.area, left.status) == ("bowl", 16, "edited")


def test_a_rule_accepts_without_a_person_and_people_overrule_it(review):
    rule = Decision("", "accept", rule={"concept": "cup", "min_score": 0.5})
    after = review(rule, about(cup(2), "reject"))
    assert after.verdict("a.jpg", cup(2)).status == "rejected"
    by_rule = after.verdict("a.jpg", cup(3))
    assert (by_rule.status, by_rule.rule, by_rule.decided) == ("accepted", True, False)
    assert after.verdict("a.jpg", cup(3, score=0.4)).status == "auto"


def test_people_who_disagree_are_noticed(review):
    review(about(cup(), "accept"), who="ann")
    after = review(about(cup(), "reject"), who="bob")
    verdict = after.verdict("a.jpg", cup())
    assert (verdict.status, verdict.by, verdict.disputed) == ("rejected", "bob", True)
    assert not review(about(cup(), "reject"), who="ann").verdict("a.jpg", cup()).disputed


def test_an_id_that_is_given_is_kept_and_known_again(tmp_path):
    out = str(tmp_path)
    given = about(cup(), "reject", id="ab" * 8)
    (stored,) = Session(out, "ann").add([given])
    assert stored.id == "ab" * 8
    review = Review([stored])
    assert review.add([stored]) == []
    assert review.find("ab" * 8) is not None
    assert len(review.decisions) == 1


def test_a_review_grows_as_decisions_come_in_whatever_their_order(tmp_path):
    session = Session(str(tmp_path), "ann")
    (accept,) = session.add([about(cup(), "accept")])
    (reject,) = session.add([about(cup(), "reject")])
    (undo,) = session.add([Decision("", "undo", undoes=reject.id)])
    review = Review()
    assert review.add([undo]) == []
    assert review.add([reject]) == [reject]
    assert not review.verdict("a.jpg", cup()).decided
    assert not review.keys
    assert review.add([accept]) == [accept]
    assert review.verdict("a.jpg", cup()).status == "accepted"
    assert review.keys == {"a.jpg"}
    whole = Review([accept, reject, undo])
    assert whole.verdict("a.jpg", cup()) == review.verdict("a.jpg", cup())
    assert whole.decisions == review.decisions == [accept]


def test_a_rule_that_is_taken_back_accepts_nothing(tmp_path):
    session = Session(str(tmp_path), "ann")
    rules = [
        Decision("", "accept", rule={"concept": "cup", "min_score": score}) for score in (0.8, 0.5)
    ]
    high, low = session.add(rules)
    review = Review([high, low])
    assert review.rules() == {"cup": 0.5}
    assert review.add([Decision("", "undo", undoes=low.id, id="x")]) == [low]
    assert review.rules() == {"cup": 0.8}
    assert review.verdict("a.jpg", cup()).status == "auto"


def test_only_files_that_changed_are_read_again(tmp_path):
    files = DecisionFiles(str(tmp_path))
    assert files.changed() == []
    ann, bob = (Session(str(tmp_path), who) for who in ("ann", "bob"))
    ann.add([about(cup(), "accept")])
    assert [each.who for each in files.changed()] == ["ann"]
    assert files.changed() == []
    bob.add([about(cup(), "reject")])
    assert [each.who for each in files.changed()] == ["bob"]


def test_a_rule_does_not_count_for_scores_that_were_made_after_it():
    rule = {"concept": "cup", "min_score": 0.5}
    before = Decision("", "accept", rule=rule, id="ab" * 8, at="1", run_id="first")
    found = Object.of("cup", 1, np.ones((4, 4), bool), 0.9)
    assert Review([before], scored_by={"first", "second"}).verdict("a", found).rule
    stale = Review([before], scored_by={"rescored"})
    assert not stale.verdict("a", found).rule
    assert stale.stale_rules == 1
