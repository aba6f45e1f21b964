"""The report of an evaluation: one file, nothing remote, all escaped, nothing glossed over."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from ipseg.benchmarks.published.paper_tables import paper_table
from jobs.evaluation.episodes import by_lot, judged, worst
from jobs.evaluation.outcome import read_outcome
from jobs.evaluation.page import write_page
from jobs.evaluation.summary import summarise

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img", "br"}
COCO = {"benchmark": "coco-20i", "title": "COCO-20i", "folds": ("0", "1", "2", "3")}


class Page(HTMLParser):
    """Collects what the tests ask about, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"handler {name} on {tag}"
            if name in {"src", "href", "srcset", "action", "data", "xlink:href"}:
                self.addresses.append(value or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"nothing open for </{tag}>"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def report(evaluation):
    """Writes a run and its report; gives the HTML and what is in it."""

    def write(*args, **kwargs):
        out = evaluation(*args, **kwargs)
        address = write_page(summarise(out), evaluation.predictions)
        assert address == f"{out}/report.html"
        text = Path(address).read_text(encoding="utf-8")
        return text, Page(text)

    return write


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"<h2>(.*?)</h2>", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def pictures(part: str) -> list[np.ndarray]:
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', part)
    return [np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(each)))) for each in encoded]


def test_a_whole_run_says_what_its_number_is(report):
    text, page = report(**COCO)
    assert list(sections(text)) == [
        *("Beside published numbers", "Folds", "Classes", "Episodes"),
        *("Worst", "By lot", "Best", "Stages"),
    ]
    assert "PARTIAL" not in page.text
    assert "mean over images of I / U" in page.text
    assert "without a mask" in page.text
    assert "the original size" in page.text
    assert "IPSeg paper" in page.text
    assert "14.4 kB" in sections(text)["Stages"]


def test_one_file_and_nothing_remote(report):
    text, page = report(**COCO)
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?://", text)
    assert not {"script", "link", "iframe", "object", "a"} & set(page.tags)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_a_partial_result_is_red(report):
    text, page = report(failed={1, 4}, missing={5})
    assert '<div class="partial" role="alert">' in text
    assert "PARTIAL: 2 of 6 episodes failed, 1 missing" in page.text


def test_a_partial_setting_is_named(report):
    variants = [{"label": label, "settings": [f"points.k={label}"]} for label in ("8", "32")]
    text, page = report(variants=variants, failed={0})
    assert "PARTIAL: 1 of 6 episodes failed, with every setting" in page.text
    assert sections(text)["Settings"].count("PARTIAL") == 2
    assert "points.k=32" in page.text


def test_numbers_of_other_formulas_have_no_difference(report):
    text, _ = report(**COCO, formulas=["B"])
    published = sections(text)["Beside published numbers"]
    comparable, _, others = published.partition("<details")
    assert "IPSeg" in comparable
    assert "Matcher" not in comparable
    assert others.count("other formula, A") > 10
    assert not re.search(r"[+−]\d", others)


def test_a_paper_table_in_another_formula_has_no_difference(report):
    rows = paper_table(4).rows[:2]
    variants = [{"label": row.label, "settings": list(row.settings)} for row in rows]
    run = {"benchmark": "perseg", "variants": variants, "table": 4}
    text, _ = report("same", **run)
    assert re.search(r"[+−]\d", sections(text)["Settings"])
    text, page = report("other", **run, formula="A", formulas=["A", "B"])
    assert "other formula, B" in sections(text)["Settings"]
    (second,) = re.findall(r"[+−]\d", sections(text)["Settings"])[3:] or [""]
    assert not second, "only the paired difference of the two settings and its interval"
    assert "points against" not in page.text


def test_names_from_data_are_escaped(report):
    text, page = report(
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
    assert "<script" not in text
    assert "script" not in page.tags
    assert page.text.count(EVIL) > 20


def test_what_was_found_is_drawn_over_the_picture(report):
    text, _ = report(classes=("cat",), each=1, shift=lambda _e, _v: 12)
    found, example, truth = (p.astype(int) for p in pictures(sections(text)["Best"]))
    assert found.shape == example.shape == truth.shape == (48, 64, 3)
    new, grey = found[24, 38], found[5, 55]
    assert new[0] > new[2] + 20, "what was found is orange"
    assert np.ptp(grey) < 12, "the rest is as it was"
    assert example[24, 20][2] > example[24, 20][0] + 20, "the example's object is blue"
    assert truth[24, 20][1] > truth[24, 20][0] + 20, "the truth is green"


def test_crops_are_shown_as_crops(report):
    # The answer lies in the crop: moved by 8, of a square that begins at 10 of 64 pixels.
    text, _ = report(classes=("cat",), each=1, crop=(8, 10, 56, 46))
    shapes = [picture.shape for picture in pictures(sections(text)["Best"])]
    assert shapes == [(36, 48, 3), (48, 64, 3), (36, 48, 3)]
    truth = pictures(sections(text)["Best"])[2].astype(int)
    assert truth[14, 12][1] > truth[14, 12][0] + 20
    assert np.ptp(truth[32, 40]) < 12


def test_pictures_that_are_gone_are_said_to_be(evaluation):
    out = evaluation()
    summary = summarise(out)
    for path in Path(out).parent.glob("*.jpg"):
        path.unlink()
    text = Path(write_page(summary, evaluation.predictions)).read_text()
    page = Page(text)
    assert not page.addresses
    assert "No image: FileNotFoundError" in page.text


def test_without_its_truth_a_picture_still_shows_what_was_found(evaluation):
    out = evaluation(classes=("cat",), each=1)
    summary = summarise(out)
    for path in Path(out).parent.glob("*.png"):
        path.unlink()
    best = sections(Path(write_page(summary, evaluation.predictions)).read_text())["Best"]
    assert len(pictures(best)) == 1
    assert best.count("No image: FileNotFoundError") == 2


def test_an_episode_in_which_nothing_was_found_says_so(evaluation):
    out = evaluation(classes=("cat",), each=1, shift=lambda _e, _v: 64)
    evaluation.answers.clear()
    page = Page(Path(write_page(summarise(out), evaluation.predictions)).read_text())
    assert "nothing found" in page.text
    assert "IoU 0.00" in page.text


def test_failures_are_grouped_whatever_names_are_in_them(evaluation):
    out = evaluation(failed=range(6), message="cannot read /data/1.jpg")
    text = Path(write_page(summarise(out), evaluation.predictions)).read_text()
    failed = sections(text)["Failed"]
    assert "6 results failed" in failed
    assert failed.count('<td class="message">') == 1
    assert failed.count('<li class="key">') == 3
    assert "Worst" not in sections(text)


def test_many_classes_are_shortened_to_both_ends(report):
    names = [f"class {n:03d}" for n in range(70)]
    text, _ = report(classes=names, each=1, shift=lambda episode, _: min(episode // 4, 19))
    classes = sections(text)["Classes"]
    assert "The 30 highest and the 30 lowest of 70" in classes
    shown, _, between = classes.partition("<details")
    assert "class 000" in shown
    assert "class 069" in shown
    assert between.count('class="name"') == 10


def test_classes_take_turns_in_the_galleries(evaluation):
    out = evaluation(classes=("a", "b", "c"), each=5, shift=lambda episode, _: 19 - episode)
    measured = judged(read_outcome(out).results)
    assert [each.class_name for each in worst(measured)] == ["a", "b", "c", "a", "b", "c"]
    assert [each.episode for each in worst(measured)][:3] == [0, 5, 10]
    assert by_lot(measured) == by_lot(measured[::-1])
    assert by_lot(measured) != measured[:6]
