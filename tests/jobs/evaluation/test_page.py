"""The report of an evaluation: one file, nothing remote, all escaped, nothing glossed over."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from ipseg.benchmarks.published.paper_tables import paper_table
from jobs.evaluation.episodes import by_lot, judged, worst
from jobs.evaluation.outcome import read_outcome
from jobs.evaluation.page import write_page
from jobs.evaluation.plots import scatter
from jobs.evaluation.summarise import summarise

EVIL = "<script>alert(1)</script>"
COCO = {"benchmark": "coco-20i", "title": "COCO-20i", "folds": ("0", "1", "2", "3")}


@pytest.fixture
def report(evaluation, page):
    """Writes a run and, when something has happened to it, its report; gives the page."""

    def write(*args, between=lambda: None, **kwargs):
        out = evaluation(*args, **kwargs)
        summary = summarise(out)
        between()
        address = write_page(summary, evaluation.predictions)
        assert address == f"{out}/report.html"
        return page(address)

    return write


def test_a_whole_run_says_what_its_number_is(report):
    page = report(**COCO)
    assert list(page.sections) == [
        *("Beside published numbers", "Folds", "Classes", "Episodes"),
        *("Worst", "By lot", "Best", "Stages"),
    ]
    assert "PARTIAL" not in page.text
    assert "mean over images of I / U" in page.text
    assert "without a mask" in page.text
    assert "the original size" in page.text
    assert "IPSeg paper" in page.text
    assert "14.4 kB" in page.sections["Stages"]


def test_one_file_and_nothing_remote(report):
    page = report(**COCO)
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?://", page.html)
    assert not {"script", "link", "iframe", "object", "a"} & set(page.tags)
    assert "default-src 'none'" in page.html
    assert "prefers-color-scheme: dark" in page.html


def test_random_weights_are_said_in_red(report):
    assert '<p class="alarm">RANDOM WEIGHTS' in report(random_weights=["sam.pth"]).html


def test_a_partial_result_is_red(report):
    page = report(failed={1, 4}, missing={5})
    assert '<div class="partial" role="alert">' in page.html
    assert "PARTIAL: 2 of 6 episodes failed, 1 missing" in page.text


def test_a_partial_setting_is_named(report):
    variants = [{"label": label, "settings": [f"points.k={label}"]} for label in ("8", "32")]
    page = report(variants=variants, failed={0})
    assert "PARTIAL: 1 of 6 episodes failed, with every setting" in page.text
    assert page.sections["Settings"].count("PARTIAL") == 2
    assert "points.k=32" in page.text


def test_numbers_of_other_formulas_have_no_difference(report):
    page = report(**COCO, formulas=["B"])
    published = page.sections["Beside published numbers"]
    comparable, _, others = published.partition("<details")
    assert "IPSeg" in comparable
    assert "Matcher" not in comparable
    assert others.count("other formula, A") > 10
    assert not re.search(r"[+−]\d", others)


def test_a_paper_table_in_another_formula_has_no_difference(report):
    rows = paper_table(4).rows[:2]
    variants = [{"label": row.label, "settings": list(row.settings)} for row in rows]
    run = {"benchmark": "perseg", "variants": variants, "table": 4}
    page = report("same", **run)
    assert re.search(r"[+−]\d", page.sections["Settings"])
    page = report("other", **run, formula="A", formulas=["A", "B"])
    assert "other formula, B" in page.sections["Settings"]
    (second,) = re.findall(r"[+−]\d", page.sections["Settings"])[3:] or [""]
    assert not second, "only the paired difference of the two settings and its interval"
    assert "points against" not in page.text


def test_names_from_data_are_escaped(report):
    page = report(
        classes=(EVIL, f'"onload="{EVIL}'),
        unused=[f"unused {EVIL}"],
        folds=("0", EVIL),
        variants=[{"label": label, "settings": [EVIL]} for label in (EVIL, "b")],
        failed={1},
        message=EVIL,
        **dict.fromkeys(("benchmark", "title", "method", "profile", "rule"), EVIL),
        stages=[
            {"stage": EVIL, "rows": 1, "seconds": 0.0, "bytes_per_row": 0, "image_bytes_per_row": 0}
        ],
    )
    assert "<script" not in page.html
    assert "script" not in page.tags
    assert page.text.count(EVIL) > 20


def test_what_was_found_is_drawn_over_the_image(report):
    page = report(classes=("cat",), each=1, shift=lambda _e, _v: 12)
    found, example, truth = page.images("Best")
    assert found.shape == example.shape == truth.shape == (48, 64, 3)
    new, grey = found[24, 38], found[5, 55]
    assert new[0] > new[2] + 20, "what was found is orange"
    assert np.ptp(grey) < 12, "the rest is as it was"
    assert example[24, 20][2] > example[24, 20][0] + 20, "the example's object is blue"
    assert truth[24, 20][1] > truth[24, 20][0] + 20, "the ground truth is green"


def test_crops_are_drawn_as_crops(report):
    # The answer lies in the crop: moved by 8, of a square that begins at 10 of 64 pixels.
    page = report(classes=("cat",), each=1, crop=(8, 10, 56, 46))
    shapes = [image.shape for image in page.images("Best")]
    assert shapes == [(36, 48, 3), (48, 64, 3), (36, 48, 3)]
    truth = page.images("Best")[2]
    assert truth[14, 12][1] > truth[14, 12][0] + 20
    assert np.ptp(truth[32, 40]) < 12


def test_images_that_are_gone_are_said_to_be(report, evaluation):
    def remove():
        for path in evaluation.root.glob("*.jpg"):
            path.unlink()

    page = report(between=remove)
    assert not page.addresses
    assert "No image: FileNotFoundError" in page.text


def test_without_its_ground_truth_an_image_still_shows_what_was_found(report, evaluation):
    def remove():
        for path in evaluation.root.glob("*.png"):
            path.unlink()

    page = report(classes=("cat",), each=1, between=remove)
    assert len(page.images("Best")) == 1
    assert page.sections["Best"].count("No image: FileNotFoundError") == 2


def test_an_episode_in_which_nothing_was_found_says_so(report, evaluation):
    away = {"shift": lambda _e, _v: 64, "between": evaluation.answers.clear}
    page = report(classes=("cat",), each=1, **away)
    assert "nothing found" in page.text
    assert "IoU 0.00" in page.text


def test_failures_are_grouped_whatever_names_are_in_them(report):
    page = report(failed=range(6), message="cannot read /data/1.jpg")
    failed = page.sections["Failed"]
    assert "6 results failed" in failed
    assert failed.count('<td class="message">') == 1
    assert failed.count('<li class="key">') == 3
    assert "Worst" not in page.sections


def test_many_classes_are_shortened_to_both_ends(report):
    names = [f"class {n:03d}" for n in range(70)]
    page = report(classes=names, each=1, shift=lambda episode, _: min(episode // 4, 19))
    classes = page.sections["Classes"]
    assert "The 30 highest and the 30 lowest of 70" in classes
    ends, _, between = classes.partition("<details")
    assert "class 000" in ends
    assert "class 069" in ends
    assert between.count('class="name"') == 10


def test_classes_take_turns_in_the_galleries(evaluation):
    out = evaluation(classes=("a", "b", "c"), each=5, shift=lambda episode, _: 19 - episode)
    measured = judged(read_outcome(out).results)
    assert [each.class_name for each in worst(measured)] == ["a", "b", "c", "a", "b", "c"]
    assert [each.episode for each in worst(measured)][:3] == [0, 5, 10]
    assert by_lot(measured) == by_lot(measured[::-1])
    assert by_lot(measured) != measured[:6]


def test_a_setting_that_was_refused_has_its_reason(report):
    variants = [
        {"label": "persam", "settings": [], "given": "mask"},
        {"label": "insid3", "settings": [], "given": "image", "refused": "too few channels"},
        {"label": "groupvit", "settings": [], "given": "name"},
    ]
    page = report(variants=variants)
    assert "NOT RUN, with insid3: too few channels" in page.text
    assert "not run" in page.sections["Settings"]
    assert "with their ground-truth mask: persam; without a mask: insid3; by the name" in page.text


def test_labels_of_dots_stand_apart_and_within():
    crowded = scatter((f"method {n}", 2.0 + n % 2, 30.0 + 0.01 * n) for n in range(40))
    lines = [dot.line for dot in crowded.dots]
    assert all(later - line >= 14 - 1e-9 for line, later in itertools.pairwise(lines))
    assert min(lines) >= -1e-9
    assert max(lines) <= crowded.height + 1e-9
    free = scatter([("high", 1.0, 90.0), ("low", 2.0, 10.0)])
    assert [dot.line for dot in free.dots] == [dot.y for dot in free.dots]


def test_cost_and_quality_are_a_table_and_a_plot(report, costs):
    page = report(**costs)
    assert "0.5" in page.sections["Cost"]
    (plot,) = re.findall(r'<svg class="scatter".*?</svg>', page.html, re.DOTALL)
    assert plot.count("<circle") == 2
    assert re.search(r'<circle cx="279.6".*?>two<.*?<circle cx="400.0".*?>one<', plot, re.DOTALL)
    assert "Cost" not in report("alone").sections


def test_rows_of_the_paper_that_were_not_run_are_marked(report):
    variants = [{"label": "IPSeg", "settings": []}]
    page = report(**COCO, variants=variants, table=1)
    settings = page.sections["Settings"]
    assert settings.count("published") >= 6
    assert "trained, on the tested classes too" in settings
    assert "56.1" in settings
