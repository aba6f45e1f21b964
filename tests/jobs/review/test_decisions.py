"""Decisions, rules and prompts that the page posts, without a browser."""

from pathlib import Path

import numpy as np
import pytest

from ipseg.prompts import find_prompts
from ipseg.vision.images import decode
from ipseg.vision.masks import encode_rle
from pipeline.labels.decisions import Decision, Session, mask_hash, read_decisions
from pipeline.labels.review import Review


def test_decisions_are_on_disk_when_they_are_saved(client):
    cup, hat, other = client.items(size=3)
    rejected = client.about(cup, "reject", reason="too much", seconds=2.5, order="uncertain")
    answer = client.post(rejected, client.about(hat, "accept"), client.about(other, "skip"))
    assert len(answer["saved"]) == 3
    first, second, third = read_decisions(client.out)
    assert (first.decision, first.reason, first.who, first.seconds) == (
        *("reject", "too much", "ann", 2.5),
    )
    assert first.score == pytest.approx(cup["score"], abs=1e-4)
    assert first.run_id == "20260101T000000-abcdef01"
    assert (second.decision, third.decision) == ("accept", "skip")
    assert [client.status(each) for each in (cup, hat, other)] == ["rejected", "accepted", "auto"]
    counts = client.get("about").json()["concepts"]
    assert sum(each["decided"] for each in counts) == 2


def test_what_is_sent_twice_is_stored_once_and_undo_takes_it_back(client, new):
    (item,) = client.items(size=1)
    accept = client.about(item, "accept")
    for _ in range(2):
        assert client.post(accept)["saved"] == [accept["id"]]
    assert len(read_decisions(client.out)) == 1
    client.post(new("undo", undoes=accept["id"]))
    assert client.status(item) == "auto"
    assert not Review.read(client.out).keys


def test_a_new_server_knows_what_was_decided(client, client_of):
    item, other = client.items(size=2)
    client.post(client.about(item, "reject"), client.about(other, "relabel", relabel="hat"))
    again = client_of(client.out)
    assert again.status(item) == "rejected"
    (whole,) = again.get("objects", o=other["o"]).json()["objects"]
    assert (whole["status"], whole["label"]) == ("accepted", "hat")
    assert item["o"] not in {each["o"] for each in again.items(size=100)}
    assert [each["o"] for each in again.items(status="relabelled")] == [other["o"]]


def test_decisions_of_another_program_arrive(client, monkeypatch, client_of):
    monkeypatch.setattr("jobs.review.state._OTHERS_AFTER_S", 0)
    (item,) = client.items(size=1)
    client.post(client.about(item, "accept"))
    other = client_of(client.out, "bob")
    other.post(other.about(item, "reject"))
    (mine,) = client.items(status="disputed")
    assert (mine["o"], mine["by"], mine["status"]) == (item["o"], "bob", "rejected")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"key": "../../etc/passwd"}, "no image of this key"),
        ({"key": "broken.jpg"}, "no image of this key"),
        ({"key": None}, "no image of this key"),
        ({"mask": "0" * 16}, "another mask"),
        ({"instance": 7}, "no such object"),
        ({"concept": "bowl"}, "no such object"),
        ({"decision": "destroy"}, "decisions are"),
        ({"decision": "reject", "reason": "ugly"}, "reasons are"),
        ({"decision": "relabel", "relabel": " "}, "a new concept has a name"),
        ({"decision": "relabel", "relabel": "x" * 101}, "a new concept has a name"),
        ({"decision": "relabel", "relabel": "two\nlines"}, "a new concept has a name"),
        ({"decision": "relabel"}, "a new concept has a name"),
        ({"decision": "edit"}, "size of the image"),
        ({"decision": "edit", "segmentation": {"size": [5, 5], "counts": "d"}}, "128 x 96"),
        ({"decision": "edit", "segmentation": {"size": [96, 128], "counts": "!"}}, "RLE"),
        ({"decision": "edit", "segmentation": {"size": [96, 128], "counts": 5}}, "run lengths"),
        ({"sampled": {"how": "random", "p": 2}}, "probability"),
        ({"id": "../x"}, "id of 16 to 32"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_rest_kept(client, change, why):
    item, other = client.items(size=2)
    wrong, right = client.about(item, "accept") | change, client.about(other, "accept")
    answer = client.post(wrong, right)
    assert answer["saved"] == [right["id"]]
    assert why in answer["refused"][wrong["id"]]
    assert len(read_decisions(client.out)) == 1


def test_an_empty_repair_and_a_foreign_undo_are_refused(client, new):
    (item,) = client.items(size=1)
    empty = encode_rle(np.zeros((96, 128), bool))
    answer = client.post(
        client.about(item, "edit", segmentation=empty), new("undo", undoes="f" * 16)
    )
    assert not answer["saved"]
    assert len(answer["refused"]) == 2


@pytest.mark.parametrize("body", [b"[]", b'{"decisions": 5}', b"{", b'{"decisions": null}'])
def test_bodies_that_are_no_decisions_are_wrong_requests(client, body):
    assert client.http.post("/api/decisions", content=body).status_code == 400


def test_a_body_that_is_too_large_is_not_read(client, monkeypatch):
    monkeypatch.setattr("jobs.review.guard.MOST_BYTES", 10)
    assert client.http.post("/api/decisions", content=b"x" * 11).status_code == 413


def test_a_repaired_mask_is_kept_to_the_pixel(client, made):
    (item,) = client.items(size=1)
    mask = made.box(3, 4, 50, 60)
    repaired = encode_rle(mask)
    client.post(client.about(item, "edit", segmentation=repaired))
    (whole,) = client.get("objects", o=item["o"]).json()["objects"]
    assert (whole["status"], whole["repaired"]) == ("edited", repaired)
    found = client.server.rows.objects(item["image"])
    (left,) = Review.read(client.out).apply(item["key"], found[item["object"] : item["object"] + 1])
    np.testing.assert_array_equal(left.mask, mask)


def test_a_concept_that_is_not_in_the_image(client, new):
    hat = client.items(concept="hat", size=1)[0]
    absent = new("reject", key=hat["key"], concept="hat")
    assert client.post(absent, new("reject", key=hat["key"], concept="bowl"))["saved"] == [
        absent["id"]
    ]
    assert client.status(hat) == "rejected"


def test_a_rule_accepts_what_nobody_decided_and_can_be_taken_back(client, new):
    preview = client.get("bulk", concept="cup", least=0.5).json()
    assert preview["count"] == 15
    scores = [each["score"] for each in preview["nearest"]]
    assert scores == sorted(scores)
    assert not preview["random"]
    wrong = preview["nearest"][0]
    rule = new("accept", rule={"concept": "cup", "min_score": 0.5, "count": 15, "looked": 15})
    client.post(client.about(wrong, "reject"), rule)
    (stored,) = (each for each in read_decisions(client.out) if each.rule)
    assert stored.rule == {"concept": "cup", "min_score": 0.5, "count": 15, "looked": 15}
    by_rule = client.items(status="rule", size=100)
    assert len(by_rule) == 14
    assert all(each["rule"] and each["by"] is None for each in by_rule)
    assert client.get("about").json()["concepts"][0]["decided"] == 15
    client.post(new("undo", undoes=rule["id"]))
    assert not client.items(status="rule")
    for bad in ({"concept": "bowl", "min_score": 0.5}, {"concept": "cup", "min_score": 2}, 7):
        assert not client.post(new("accept", rule=bad))["saved"]


def test_the_sample_of_a_rule_has_nothing_twice(made, client_of):
    client = client_of(made.cups_and_hats("large", images=160))
    preview = client.get("bulk", concept="cup", least=0.1, seed=3).json()
    nearest, drawn = preview["nearest"], preview["random"]
    assert (len(nearest), len(drawn)) == (50, 50)
    assert not {each["o"] for each in nearest} & {each["o"] for each in drawn}
    assert preview["of"] == preview["count"] - 50


def test_the_interval_of_an_error_rate(client):
    none = client.get("interval", wrong=0, looked=50).json()
    assert (none["rate"], none["low"]) == (0, 0)
    assert none["high"] == pytest.approx(0.0713, abs=1e-3)
    some = client.get("interval", wrong=5, looked=50).json()
    assert (some["low"], some["high"]) == pytest.approx((0.0435, 0.2136), abs=1e-3)
    assert client.get("interval", wrong=2, looked=1).status_code == 400


def test_a_random_order_offers_again_what_was_not_drawn_by_lot(client):
    first, second = client.items(size=2, order="random", who="ann")
    drawn = {"how": "random", "p": 0.025}
    client.post(client.about(first, "accept", sampled=drawn), client.about(second, "accept"))
    offered = {each["o"] for each in client.items(order="random", who="ann", size=100)}
    assert first["o"] not in offered
    assert second["o"] in offered
    assert read_decisions(client.out)[0].sampled == drawn


def test_a_mask_that_has_changed_since_is_said_to_be(made, client_of):
    out = made.write("changed", [made.row("a", [made.found("cup", 0.5)])], ["cup"])
    before = made.found("cup", 0.5, 7)
    decision = Decision("a", "reject", "cup", 0, mask_hash(before.segmentation))
    Session(out, "ann").add([decision])
    (item,) = client_of(out).items(status="changed")
    assert (item["status"], item["before"]) == ("auto", "rejected")


def test_disk_full_is_reported_and_may_be_tried_again(client, monkeypatch):
    (item,) = client.items(size=1)
    accept = client.about(item, "accept")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("pipeline.labels.decisions.write_whole", full)
        answer = client.http.post("/api/decisions", json={"decisions": [accept]})
        assert answer.status_code == 503
        assert "No space left" in answer.json()["error"]
    assert client.status(item) == "auto"
    assert client.post(accept)["saved"] == [accept["id"]]


def test_an_accepted_mask_becomes_a_prompt_and_no_prompt_again(client, made):
    (item,) = client.items(size=1)
    named = {name: client.about(item, "")[name] for name in ("key", "concept", "instance", "mask")}

    def prompt(on):
        return client.http.post("/api/prompt", json={**named, "on": on})

    assert "accept it first" in prompt(True).json()["error"]
    client.post(client.about(item, "accept"))
    assert prompt(True).json()["prompt"]
    (row,) = find_prompts(f"{client.out}/accepted")
    assert row["concept"] == item["concept"]
    mask = decode(Path(row["given_mask"].removesuffix("#object")).read_bytes())[..., 0] > 0
    np.testing.assert_array_equal(
        mask, client.server.rows.objects(item["image"])[item["object"]].mask
    )
    assert decode(Path(row["uri"]).read_bytes()).shape == (96, 128, 3)
    assert client.get("objects", o=item["o"]).json()["objects"][0]["prompt"]
    assert not prompt(False).json()["prompt"]
    assert not list(Path(client.out, "accepted").glob("*/*"))


def test_a_prompt_follows_what_is_decided_about_its_object(client, new):
    (item,) = client.items(size=1)
    accept = client.about(item, "accept")
    client.post(accept)
    client.http.post("/api/prompt", json={**client.about(item, "accept"), "on": True})
    files = Path(client.out, "accepted")
    mask = np.zeros((96, 128), bool)
    mask[10:30, 20:60] = True
    edit = client.about(item, "edit", segmentation=encode_rle(mask))
    client.post(edit)
    (row,) = find_prompts(str(files))
    kept = decode(Path(row["given_mask"].removesuffix("#object")).read_bytes())[..., 0] > 0
    np.testing.assert_array_equal(kept, mask)
    client.post(client.about(item, "relabel", relabel="mug"))
    assert [row["concept"] for row in find_prompts(str(files))] == ["mug"]
    client.post(client.about(item, "reject"))
    assert not list(files.glob("*/*"))


def test_a_prompt_goes_when_its_acceptance_is_taken_back(client, new):
    (item,) = client.items(size=1)
    accept = client.about(item, "accept")
    client.post(accept)
    client.http.post("/api/prompt", json={**client.about(item, "accept"), "on": True})
    assert list(Path(client.out, "accepted").glob("*/*.jpg"))
    client.post(new("undo", undoes=accept["id"]))
    assert not list(Path(client.out, "accepted").glob("*/*"))


def test_prompts_of_hostile_names_stay_in_their_folder(made, client_of):
    names = ["a/b", "../up", ".hidden", "new\nline", "<script>", "x" * 300, "a_b", "naïve 杯"]
    rows = [made.row(f"../{name}", [made.found(name, 0.9)]) for name in names]
    client = client_of(made.write("hostile-prompts", rows, names))
    for item in client.items(size=100):
        accept = client.about(item, "accept")
        client.post(accept)
        assert client.http.post("/api/prompt", json={**accept, "on": True}).json()["prompt"]
    found = find_prompts(f"{client.out}/accepted")
    assert len({row["concept"] for row in found}) == len(names)
    assert {"a_b", "naïve 杯"} <= {row["concept"] for row in found}
    assert all(Path(client.out) in Path(row["uri"]).resolve().parents for row in found)
