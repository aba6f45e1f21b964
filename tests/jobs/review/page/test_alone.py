"""The page on servers of its own: killed ones, hostile names, many rows."""

import time

import pytest

from ipseg.prompts import find_prompts
from pipeline.labels.decisions import read_decisions


def test_a_kill_in_between_loses_nothing(made, serving, tab):
    out = made.cups_and_hats("killed")
    server = serving(out)
    page = tab(server.address)
    items = [page.decide("a") for _ in range(3)]
    page.saved()
    server.kill()
    items += [page.decide("r") for _ in range(3)]
    page.until("document.getElementById('saved').textContent.includes('not saved')")
    assert len(read_decisions(out)) == 3
    server.start()
    page.errors.clear()  # the browser logs each request that did not reach the server
    other = tab(server.address, page.page.context)  # as it was printed; its cookie is for both
    page.saved()
    assert page.text("#saved") == "saved"
    stored = read_decisions(out)
    assert [each.key for each in stored] == [item["key"] for item in items]
    assert [each.decision for each in stored] == ["accept"] * 3 + ["reject"] * 3
    offered = other.ask("review.feed.items.map(i => i.o)")
    assert not {item["o"] for item in items[:3]} & set(offered)
    page.errors.clear()
    code, said = server.stop()
    assert code == 130
    assert "interrupted" in said


def test_a_tab_that_was_closed_before_the_server_came_back(made, serving, tab):
    out = made.cups_and_hats("closed")
    server = serving(out)
    page = tab(server.address)
    page.single()
    server.kill()
    item = page.decide("2")
    page.until("document.getElementById('saved').textContent.includes('not saved')")
    page.errors.clear()
    context = page.page.context
    page.page.close()
    server.start()
    tab(server.address, context).saved()
    (stored,) = read_decisions(out)
    assert (stored.key, stored.reason) == (item["key"], "part missing")


HOSTILE = (
    "<script>document.title='hit'</script>",
    "<img src=x onerror=\"document.title='hit'\">",
    "\"'`&</p>",
    "../../etc/passwd",
    "line\nbreak\r\t",
    "javascript:alert(1)",
    "\u202eright to left",
)


def test_hostile_names_do_nothing(made, serving, tab):
    rows = [
        made.row(f"{name}/{number}.jpg", [made.found(concept, 0.6, 5 * number)])
        for number, (name, concept) in enumerate(zip(HOSTILE, reversed(HOSTILE), strict=True))
    ]
    out = made.write("hostile-page", rows, list(HOSTILE))
    page = tab(serving(out).address)
    page.page.select_option("#concept", "")
    page.until(f"review.grid.items.length === {len(HOSTILE)}")
    named = page.ask("[...document.querySelectorAll('.cell .name')].map(e => e.textContent)")
    assert sorted(named) == sorted(HOSTILE)
    page.single()
    assert page.ask("document.getElementById('title').textContent") in HOSTILE
    page.press("p")
    page.until("document.getElementById('message').textContent.startsWith('Prompt: ')")
    page.press("l")
    choices = page.ask("[...document.querySelectorAll('.choices button')].map(e => e.textContent)")
    assert choices == list(HOSTILE)
    page.press("Escape", "?", "Escape", "b", "Enter")
    page.until("document.querySelectorAll('#dialog .cell').length === 1 || review.outbox")
    page.press("Escape")
    for _ in HOSTILE[1:]:
        page.decide("a")
    page.saved()
    assert page.ask("document.title") == "ipseg review"
    assert page.ask("document.scripts.length") == 1
    assert page.ask("document.querySelectorAll('main img[src=x], main script').length") == 0
    assert len(find_prompts(f"{out}/accepted")) == 1


@pytest.mark.timeout(180)
def test_a_hundred_thousand_rows(made, serving, tab, capsys):
    server = serving(made.many("many", 100_000))
    begun = time.monotonic()
    page = tab(server.address)
    page.until("document.querySelectorAll('.cell').length >= 12")
    first = time.monotonic() - begun
    page.until("[...document.querySelectorAll('.crop img')].every(i => i.naturalWidth)")
    crops = time.monotonic() - begun
    assert "150,000 decided" in page.text("#how-far")
    begun = time.monotonic()
    page.page.select_option("#order", "random")
    page.until("review.order === 'random' && review.grid.items.length >= 12 && !review.feed.coming")
    changed = time.monotonic() - begun
    page.decide("a")
    page.saved()
    with capsys.disabled():
        print(  # noqa: T201
            f"\n100,000 rows, 150,000 objects: server up after {server.started:.2f} s, first page "
            f"after {first:.2f} s, its crops after {crops:.2f} s, another order in {changed:.2f} s"
        )
    assert first < 5
