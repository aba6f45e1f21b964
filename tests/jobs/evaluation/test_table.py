"""The table on the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ipseg.benchmarks.published.paper_tables import paper_table
from jobs.evaluation.summarise import summarise
from jobs.evaluation.table import nearest, print_summary

COCO = {"benchmark": "coco-20i", "title": "COCO-20i", "folds": ("0", "1", "2", "3")}
RED = "\x1b[1;31m"


@pytest.fixture
def printed(evaluation):
    """Writes a run and prints it, in colour if asked."""

    def show(*args, colour=False, **kwargs) -> str:
        console = Console(
            file=io.StringIO(),
            width=120,
            force_terminal=colour,
            color_system="standard" if colour else None,
        )
        print_summary(summarise(evaluation(*args, **kwargs)), console)
        return console.file.getvalue()

    return show


def test_a_run_stands_beside_the_paper(printed):
    text = printed(**COCO)
    lines = [line for line in text.splitlines() if "│" in line]
    assert [line.split("│")[1].strip() for line in lines] == [
        *("fold 0", "fold 1", "fold 2", "fold 3"),
        "mean of 4 folds",
    ]
    mean = [cell.strip() for cell in lines[-1].split("│")]
    assert mean[4] == "43.0"
    assert float(mean[5].replace("−", "-")) == pytest.approx(float(mean[2]) - 43.0, abs=0.11)
    assert mean[6] == "24"
    assert "mean over images of I / U" in text
    assert "PARTIAL" not in text


def test_random_weights_are_said_in_red(printed):
    text = printed(colour=True, random_weights=["a.pth", "b.pth"])
    assert f"{RED}RANDOM WEIGHTS, masks and scores mean nothing: a.pth, b.pth" in text


def test_a_partial_result_is_red(printed):
    text = printed(colour=True, failed={1, 4}, missing={5})
    assert f"{RED}PARTIAL: 2 of 6 episodes failed, 1 missing" in text
    assert f"{RED}3 of 6" in text


def test_a_sweep_has_one_line_for_each_setting(printed):
    rows = paper_table(4).rows[:3]
    variants = [{"label": row.label, "settings": list(row.settings)} for row in rows]
    text = printed(benchmark="perseg", variants=variants, table=4)
    for row in rows:
        (line,) = (line for line in text.splitlines() if line.startswith(f"│ {row.label} "))
        assert f"{row.value('perseg'):.1f}" in line


def test_names_cannot_steer_the_terminal(printed):
    variants = [{"label": label, "settings": []} for label in ("[red]k=8[/red]", "\x1b[2Jb")]
    text = printed(variants=variants, title="[bold]x\x1b[2J", failed={0})
    assert "[red]k=8[/red]" in text
    assert "\x1b" not in text


def test_only_numbers_of_the_same_formula_are_near(evaluation):
    out = evaluation(**COCO, formula="A", formulas=["A", "B"], shift=lambda n, _: 3 + n)
    (variant,) = summarise(out).variants
    near = nearest(variant)
    assert {each.formula for each in near} == {"A"}
    assert len(near) == 6
    own = 100 * variant.headline.value
    values = [each.value for each in near]
    assert values == sorted(values, reverse=True)
    assert values[2] > own >= values[3]


def test_what_an_image_costs_stands_beside_its_quality(printed, costs):
    text = printed(**costs)
    cells = {
        label: [c.strip() for c in line.split("│")[3:-1]]
        for line in text.splitlines()
        for label in ("one", "two")
        if line.startswith(f"│ {label} ") and line.count("│") == 7
    }
    assert cells == {"one": ["1", "1", "2.00", "5"], "two": ["2", "0.5", "2.00", "5"]}
    assert "cost of an image" not in printed("alone", costs=costs["costs"])


def test_a_table_of_the_paper_is_whole_whatever_was_run(printed):
    variants = [{"label": label, "settings": []} for label in ("PerSAM", "IPSeg")]
    text = printed(**COCO, variants=variants, table=1)
    kinds = ["training-free, the example without", "training-free, the example with", "trained"]
    places = [text.index(kind) for kind in kinds]
    assert places == sorted(places)
    for label, value in (("Painter", "33.1"), ("Matcher-Z", "22.8"), ("SegGPT", "56.1")):
        (line,) = (row for row in text.splitlines() if row.startswith(f"│ {label} (published"))
        assert value in line
    (ours,) = (row for row in text.splitlines() if row.startswith("│ IPSeg "))
    assert "43.0" in ours
