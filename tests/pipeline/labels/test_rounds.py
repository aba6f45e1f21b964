"""Two rounds of a run: what the second changed, and whether it agrees with people."""

from pipeline.labels.decisions import Decision, Session, mask_hash
from pipeline.labels.rounds import Changes, compare_rounds
from pipeline.runfolder.parts import read_rows


def decide(out, key, concept, verb):
    (row,) = (row for row in read_rows(out, ["objects"]) if row["key"] == key)
    for number, each in enumerate(row["objects"]):
        if each["concept"] == concept:
            mask = mask_hash(each["segmentation"])
            Session(out, "ann").add([Decision(key, verb, concept, number, mask)])


def test_the_same_run_again_changes_nothing(painted):
    run, _ = painted.segment("run")
    found = compare_rounds(run.out, run.out, min_score=0.01)
    assert (found.images, found.replaced, found.largest) == (5, 0, [])
    assert found.changes["red"] == Changes(both=2)


def test_what_is_new_lost_moved_and_agreed_upon(painted):
    first, _ = painted.segment("one")
    decide(first.out, "a.png", "red", "accept")
    decide(first.out, "deep/c.png", "red", "reject")
    decide(first.out, "b.png", "blue", "reject")
    decide(first.out, "deep/c.png", "blue", "accept")
    painted.image("b.png")  # blue is lost
    painted.image("deep/c.png", ("red", 2, 2, 20, 20), ("blue", 2, 26, 8, 8))  # blue has moved
    painted.image("d.png", ("red", 4, 4, 30, 30))  # red is new
    painted.image("new.png", ("red", 4, 4, 30, 30))
    second, _ = painted.segment("two")
    found = compare_rounds(first.out, second.out, min_score=0.01)
    assert (found.images, found.replaced) == (5, 3), "b.png, c.png and d.png are other images"
    assert found.changes["red"] == Changes(both=2, new=1, accepted=1, kept=1, rejected=1)
    assert found.changes["blue"] == Changes(moved=1, lost=1, accepted=1, rejected=1, gone=1)
    assert {before.key for before, _ in found.largest} == {"b.png", "d.png", "deep/c.png"}
    assert all(before.part.startswith(first.out) for before, _ in found.largest)


def test_labels_are_what_the_rounds_suggest(painted):
    painted.image("a.png", ("red", 0, 0, 58, 38))
    first, _ = painted.segment("one")
    painted.image("a.png")
    second, _ = painted.segment("two")
    found = compare_rounds(first.out, second.out)
    assert found.changes == {"blue": Changes(), "red": Changes(lost=1)}
