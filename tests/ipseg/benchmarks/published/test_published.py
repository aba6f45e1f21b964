from importlib import resources

import pytest

from ipseg.benchmarks.published.published import Published, published, read_published, speeds
from ipseg.errors import ConfigError
from ipseg.metrics import FORMULAS

NAMES = (
    *("coco-20i", "fss-1000", "perseg", "lvis-92i", "pascal-part", "paco-part"),
    *("davis-2017", "coco-stuff", "pascal-voc", "pascal-context"),
)
SMALL = """
sources: {paper: The paper}
scores:
  - method: One
    backbone: DINOv2-B
    training_free: true
    note: in-domain
    numbers:
      - {benchmark: coco-20i, formula: A, value: 50.5, folds: [50, 51], source: paper, note: more}
speeds:
  - {method: One, images_per_second: 2, hardware: one card, source: paper}
"""


def headline(benchmark, method, formula, fold=""):
    found = [
        n for n in published(benchmark) if (n.method, n.formula, n.fold) == (method, formula, fold)
    ]
    return [n.value for n in found]


@pytest.mark.parametrize("benchmark", NAMES)
def test_every_benchmark_has_the_numbers_of_the_paper(benchmark):
    formulas = {n.formula for n in published(benchmark) if n.method == "IPSeg"}
    assert formulas == ({"J", "F"} if benchmark == "davis-2017" else {"B"})
    for number in published(benchmark):
        assert number.benchmark == benchmark
        assert number.shot == 1
        assert number.formula in FORMULAS


def test_anchors():
    assert headline("coco-20i", "IPSeg", "B") == [43.0]
    assert [headline("coco-20i", "IPSeg", "B", f)[0] for f in "0123"] == [40.9, 44.9, 40.1, 46.2]
    assert headline("coco-20i", "FoRIS", "A") == [60.9]
    assert headline("fss-1000", "IPSeg", "B") == [82.7]
    assert headline("perseg", "P²SAM", "P") == [95.7]
    assert headline("davis-2017", "Matcher", "JF") == [79.5]
    assert headline("persense-d", "PerSense", "A") == [71.61]
    assert headline("pascal-voc", "IPSeg", "B") == [57.9]
    assert headline("lvis-92i", "PerSAM", "A") == [15.6, 11.5]


def test_printed_means_agree_with_their_folds():
    numbers = published("coco-20i")
    for number in (n for n in numbers if n.fold == ""):
        key = (number.method, number.backbone, number.formula, number.source)
        folds = [
            n.value
            for n in numbers
            if n.fold and (n.method, n.backbone, n.formula, n.source) == key
        ]
        if folds:
            assert len(folds) == 4
            assert sum(folds) / 4 == pytest.approx(number.value, abs=0.051)


def test_numbers_of_other_shots_are_separate():
    assert {n.shot for n in published("coco-20i", shot=5)} == {5}
    others = [n for n in published("coco-20i", shot=5) if "SINE" not in n.source + n.method]
    assert others
    assert all("presumed" in n.note for n in others)
    assert published("fss-1000", shot=5) == []
    assert published("folder") == []


def test_doubtful_numbers_are_marked():
    for number in published("coco-20i"):
        if number.method in ("SegGPT", "SINE", "DiffewS", "SegIC"):
            assert "in-domain" in number.note
        if number.method == "CG-ICS":
            assert "secondary" in number.source
    assert all("no mask" in n.note for n in published("fss-1000") if n.method == "IPSeg")


def test_every_source_is_named_and_used():
    names = (*NAMES, "persense-d")
    numbers = [n for name in names for shot in (1, 5) for n in published(name, shot)]
    text = (resources.files("ipseg.benchmarks.published") / "published.yaml").read_text("utf-8")
    sources = text[text.index("sources:") : text.index("scores:")].splitlines()[1:]
    named = {line.partition(": ")[2] for line in sources if line.strip()}
    assert {n.source for n in numbers} | {s.source for s in speeds()} == named


def test_published_throughputs():
    assert [s.images_per_second for s in speeds() if s.method == "SANSA"] == [10.4, 15]
    for speed in speeds():
        if "minutes" in speed.note:
            minutes = float(speed.note.split()[2])
            assert speed.images_per_second == pytest.approx(10_000 / 60 / minutes, abs=0.02)


def test_a_file_is_read_with_its_folds_notes_and_sources():
    numbers, rates = read_published(SMALL, "small.yaml")
    given = ("coco-20i", "One", "DINOv2-B", True, "A", 1, "The paper", "in-domain; more")
    assert [(n.fold, n.value) for n in numbers] == [("", 50.5), ("0", 50), ("1", 51)]
    for n in numbers:
        assert isinstance(n, Published)
        found = (
            n.benchmark,
            n.method,
            n.backbone,
            n.training_free,
            n.formula,
            n.shot,
            n.source,
            n.note,
        )
        assert found == given
    assert rates[0].source == "The paper"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("formula: A", "formula: Z", r"scores\.0\.numbers\.0\.formula: .*unknown formula 'Z'"),
        ("coco-20i", "coco-21i", r"scores\.0\.numbers\.0\.benchmark: .*'coco-20i'"),
        ("value: 50.5", "value: 505", r"numbers\.0\.value: .*less than or equal to 100"),
        ("training_free: true", "training_free: perhaps", r"scores\.0\.training_free"),
        ("hardware: one card", "card: one", r"speeds\.0\.hardware: Field required"),
        ("source: paper}", "source: hearsay}", "One: 'hearsay' is not among its sources"),
        ("formula: A", "formula: [", "is not valid YAML"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused_by_name(before, after, message):
    assert before in SMALL
    with pytest.raises(ConfigError, match=f"small.yaml.*{message}"):
        read_published(SMALL.replace(before, after), "small.yaml")
