"""The page of the review in a browser."""

import json

import pytest

from ipseg.prompts import find_prompts
from pipeline.labels.decisions import read_decisions
from pipeline.labels.review import Review


@pytest.fixture(scope="module")
def run(made):
    return made.cups_and_hats("page", images=90)


def decided(out):
    """Id -> decision, of those that hold."""
    return {each.id: each for each in Review.read(out).decisions}


def new_ones(out, before):
    return [each for id, each in decided(out).items() if id not in before]


def test_the_first_page_is_a_grid_of_one_concept_least_sure_first(page):
    scores = page.ask("review.grid.items.map(i => i.score)")
    assert len(scores) >= 12
    distances = [round(abs(score - 0.5), 4) for score in scores]
    assert distances == sorted(distances)
    assert set(page.ask("review.grid.items.map(i => i.concept)")) == {"cup"}
    page.until("[...document.querySelectorAll('.crop img')].every(i => i.naturalWidth)")
    page.until("[...document.querySelectorAll('.overlay')].every(c => c.height > 150)")
    assert "1 images failed" in page.text("#how-far")
    assert page.ask("location.search") == ""  # the token is not in the address any more


def test_filters(page):
    page.page.select_option("#concept", "hat")
    page.until("review.grid.items.length && review.grid.items.every(i => i.concept === 'hat')")
    page.page.fill("#least", "0.8")
    page.press("Tab")
    page.until("review.grid.items.length && review.grid.items.every(i => i.score >= 0.8)")
    page.page.fill("#key", "no such key")
    page.press("Tab")
    page.until("review.grid.items.length === 0")
    assert "No undecided objects" in page.text("#message")


def test_a_page_of_the_grid_by_keys_and_its_undo(page, run):
    before = decided(run)
    page.page.select_option("#order", "highest")
    page.until("review.grid.items[0]?.score > 0.9")
    items = page.ask("review.grid.items")
    page.press("a", "r", "2", "s", "Enter")
    page.until(f"review.grid.items[0].o !== {items[0]['o']}")
    page.saved()
    stored = {each.key: each for each in new_ones(run, before)}
    assert len(stored) == len(items)
    verbs = [stored[item["key"]].decision for item in items]
    assert verbs == ["accept", "reject", "reject", "skip", *["accept"] * (len(items) - 4)]
    assert stored[items[2]["key"]].reason == "part missing"
    page.press("u")
    page.until(f"review.grid.items[0].o === {items[0]['o']}")
    page.saved()
    assert not new_ones(run, before)


def test_low_scores_are_marked_already_and_all_can_be(page):
    marked = page.ask("document.querySelectorAll('.cell.wrong').length")
    assert marked == page.ask("review.grid.items.filter(i => i.score < 0.5).length") > 3
    page.press("w")
    page.until("document.querySelectorAll('.cell:not(.wrong)').length === 0")
    page.press("w")
    page.until("document.querySelectorAll('.cell.wrong').length === 0")


def test_accept_reject_relabel_skip_and_undo_one_by_one(page, run):
    before = decided(run)
    accepted = page.decide("a")
    rejected = page.decide("r")
    too_much = page.decide("3")
    skipped = page.decide("s")
    relabelled = page.decide("l", "h", "Enter")
    renamed = page.decide("l", "m", "u", "g", "Enter")
    page.saved()
    stored = {each.key: each for each in new_ones(run, before)}
    keys = (each["key"] for each in (accepted, rejected, too_much, skipped, relabelled, renamed))
    first, second, third, fourth, fifth, sixth = (stored[key] for key in keys)
    assert (first.decision, second.decision) == ("accept", "reject")
    assert (third.decision, third.reason) == ("reject", "too much")
    assert (fourth.decision, fifth.decision, fifth.relabel) == ("skip", "relabel", "hat")
    assert sixth.relabel == "mug"
    assert first.mask == accepted["mask"]
    assert first.order == "uncertain"
    assert 0 <= first.seconds < 60
    for item in (renamed, relabelled, skipped, too_much, rejected, accepted):
        page.press("u")
        page.until(f"review.single.item?.o === {item['o']}")
    page.saved()
    assert not new_ones(run, before)
    assert page.text("#verdict") == "undecided"


def test_a_concept_that_is_not_there(page, run):
    before = decided(run)
    page.page.select_option("#concept", "hat")
    page.until("review.grid.items[0]?.concept === 'hat'")
    item = page.decide("x")
    page.saved()
    (absent,) = new_ones(run, before)
    assert (absent.key, absent.concept, absent.mask) == (item["key"], "hat", None)
    page.press("u")
    page.saved()
    assert not new_ones(run, before)


def test_space_hides_the_mask_while_it_is_held(page):
    page.page.keyboard.down(" ")
    assert page.ask("getComputedStyle(document.querySelector('.overlay')).visibility") == "hidden"
    page.page.keyboard.up(" ")
    assert page.ask("getComputedStyle(document.querySelector('.overlay')).visibility") == "visible"


def test_help_lists_the_keys_of_the_view(page):
    page.press("?")
    assert "store the page" in page.text("#dialog")
    page.press("Escape", "v", "?")
    assert "repair the mask" in page.text("#dialog")
    page.press("Escape")
    assert not page.ask("document.getElementById('dialog').open")


def test_accept_above_a_score_and_take_it_back(page, run):
    before = decided(run)
    page.press("b")
    page.page.fill("#dialog input[type=number]", "0.7")
    page.press("Enter")
    page.until("document.querySelectorAll('#dialog .cell').length > 3")
    page.press("Space")  # the first one is wrong
    page.until("document.querySelector('#dialog button.main').textContent.endsWith('reject 1')")
    page.page.click("#dialog button.main")
    page.until("document.getElementById('message').textContent.includes('takes all of it back')")
    stored = new_ones(run, before)
    (rule,) = (each.rule for each in stored if each.rule)
    assert (rule["concept"], rule["min_score"], rule["wrong"]) == ("cup", 0.7, 1)
    assert [each.decision for each in stored if not each.rule].count("reject") == 1
    page.press("u")
    page.until("document.getElementById('message').textContent.startsWith('Taken back')")
    assert not new_ones(run, before)
    assert page.ask("review.concept('cup').rule") == 0


def test_a_random_order_makes_a_fair_sample(page, run):
    before = decided(run)
    page.page.select_option("#order", "random")
    page.until("review.order === 'random' && review.grid.items.length && !review.feed.coming")
    assert page.ask("document.querySelectorAll('.cell.wrong').length") == 0
    item = page.decide("a")
    page.saved()
    (stored,) = new_ones(run, before)
    assert stored.key == item["key"]
    assert stored.sampled == {"how": "random", "p": pytest.approx(1 / 90)}
    page.page.fill("#least", "0.5")
    page.press("Enter")
    page.until("review.feed.wanted.least === '0.5'")
    page.until("review.single.item?.whole && review.single.item === review.feed.items[0]")
    page.decide("a")
    page.saved()
    unfair = [each for each in new_ones(run, before) if each.id != stored.id]
    assert [each.sampled for each in unfair] == [None]
    page.press("u", "u")
    page.saved()


def test_a_prompt_with_one_key(page, run):
    page.single()
    page.press("p")
    page.until("document.getElementById('message').textContent.startsWith('Prompt: ')")
    assert [row["concept"] for row in find_prompts(f"{run}/accepted")] == ["cup"]
    assert "accepted by ann · is a prompt" in page.text("#verdict")
    page.press("p")
    page.until("document.getElementById('message').textContent.startsWith('No prompt')")
    page.press("u")
    page.saved()


def test_a_link_to_an_object(page, server, tab):
    page.single()
    there = page.ask("({hash: location.hash, o: review.single.item.o})")
    other = tab(server.address + there["hash"])
    other.until(f"review.single.item?.o === {there['o']}")
    assert other.ask("location.search") == ""


def test_it_goes_on_where_it_was(page, server, tab):
    item = page.decide("a")
    page.saved()
    again = tab(server.address)
    assert item["o"] not in again.ask("review.feed.items.map(i => i.o)")
    page.press("u")
    page.saved()


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_width_and_both_schemes(server, tab, width, scheme):
    page = tab(server.address, viewport={"width": width, "height": 740}, color_scheme=scheme)
    for key in ("g", "v"):
        page.press(key)
        page.until("document.querySelector('.cell, #canvas')")
        assert page.ask("document.documentElement.scrollWidth <= innerWidth")
    paper = page.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(251, 250, 248)", "dark": "rgb(19, 20, 22)"}[scheme]


def test_two_people_at_once(server, run, tab):
    before = decided(run)
    people = [tab(server.address), tab(server.address)]
    for page, name in zip(people, ("bob", "eve"), strict=True):
        page.page.fill("#who", name)
        page.press("Enter")
        page.until(f"review.who === {json.dumps(name)} && review.grid.items.length")
        page.page.select_option("#order", "highest")
        page.until("review.grid.items[0]?.score > 0.9")
    for _ in range(5):
        first = people[0].decide("a")
        second = people[1].decide("r")
        assert first["o"] == second["o"]
    for page in people:
        page.saved()
    stored = new_ones(run, before)
    assert [(each.who, each.decision) for each in stored].count(("bob", "accept")) == 5
    assert [(each.who, each.decision) for each in stored].count(("eve", "reject")) == 5
    people[0].page.select_option("#status", "disputed")
    people[0].until("review.feed.items.length === 5 && review.feed.items.every(i => i.disputed)")
    assert len({each.id for each in read_decisions(run)}) == len(read_decisions(run))
