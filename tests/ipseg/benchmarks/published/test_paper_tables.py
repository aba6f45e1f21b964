import pytest

from ipseg.benchmarks.published.paper_tables import FORMULA, PROFILES, paper_table
from ipseg.benchmarks.published.published import published
from ipseg.config import load_config
from ipseg.errors import ConfigError

NUMBERS = range(3, 8)  # about settings; tables 1 and 2 are about methods
ROWS = [(number, row) for number in NUMBERS for row in paper_table(number).rows]
HEADLINE = {"0": 40.9, "1": 44.9, "2": 40.1, "3": 46.2, "": 43.0}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("number", "row"), ROWS, ids=[f"{n}, {r.label}" for n, r in ROWS])
def test_every_setting_exists_and_has_an_effect(number, row, profile):
    config, plain = load_config(profile, row.settings), load_config(profile)
    # A prompt that comes with its mask is a matter of the protocol, not of the method's settings.
    same = row.value("perseg") == 92.7 or number == 5 or row.given_mask or not row.runnable
    assert (config.sha256 == plain.sha256) == same


@pytest.mark.parametrize("profile", PROFILES)
def test_what_the_rows_set(profile):
    def config(number, label):
        row = next(r for r in paper_table(number).rows if r.label == label)
        return load_config(profile, row.settings).resolved

    assert list(config(3, "without DINOv2")["features"]) == ["stable_diffusion"]
    assert list(config(3, "without SD")["features"]) == ["dinov2"]
    assert config(4, "K = 64, c = 4")["points"]["k"] == 64
    assert config(4, "K = 32, c = 2")["points"]["clusters"] == 2
    assert config(6, "without TSDN")["support"]["kind"] == "none"
    support = config(6, "with TSDN")["support"]
    assert (support["kind"], support["saliency"]["kind"]) == ("saliency", "cornet")
    for label, kind in (("MAE", "mae"), ("CLIP", "clip")):
        features = config(7, label)["features"]
        assert set(features) == {"stable_diffusion", kind}
        assert features[kind]["weight"] == 1.0


def test_printed_means_agree_with_their_folds_except_for_mae():
    for number, row in ROWS:
        folds = [row.value("coco-20i", fold) for fold in "0123"]
        off = abs(sum(folds) / 4 - row.value("coco-20i"))
        if row.label == "MAE":
            assert number == 7
            assert off > 0.15
            assert "10.9" in row.note
        else:
            assert off < 0.051


@pytest.mark.parametrize("number", NUMBERS)
def test_every_table_has_the_headline_row_once(number):
    table = paper_table(number)
    found = [row for row in table.rows if row.printed["coco-20i"] == HEADLINE]
    assert [(row.value("fss-1000"), row.value("perseg")) for row in found] == [(82.7, 92.7)]
    assert len({row.label for row in table.rows}) == len(table.rows)
    assert table.number == number
    assert table.title


def test_tables_and_published_numbers_agree():
    headline = paper_table(3).rows[-1]
    given = next(row for row in paper_table(6).rows if row.given_mask)
    for benchmark in ("coco-20i", "fss-1000", "perseg"):
        for method, row in (("IPSeg", headline), ("IPSeg with ground-truth mask", given)):
            numbers = [n for n in published(benchmark) if n.method == method]
            assert {n.fold: n.value for n in numbers} == row.printed[benchmark]
            assert {n.formula for n in numbers} == {FORMULA}
    assert headline.value("coco-20i", "7") is None
    assert headline.value("davis-2017") is None


def test_prompt_sets_are_marked_as_replacements():
    table = paper_table(5)
    assert [(r.prompt_set.name, r.prompt_set.seed) for r in table.rows] == [
        ("ref-1", 0),
        ("ref-2", 1),
        ("ref-3", 2),
    ]
    assert "not published" in table.note
    assert all(row.prompt_set is None for number, row in ROWS if number != 5)


def test_only_the_older_saliency_network_cannot_be_run():
    assert [(n, row.label) for n, row in ROWS if not row.runnable] == [(6, "with A2S")]


def test_methods_have_the_numbers_that_the_paper_prints():
    first, second = paper_table(1), paper_table(2)
    assert {row.label: row.value("perseg") for row in first.rows} == {
        **{"Painter": 56.4, "SegGPT": 95.5, "DeLVM": 9.8, "PerSAM": 89.5},
        **{"Matcher": 94.9, "Matcher-Z": 88.3, "IPSeg": 92.7},
    }
    assert first.rows[-1].printed["coco-20i"] == HEADLINE
    formulas = {row.label: row.formula_of("perseg") for row in first.rows}
    assert {formulas.pop("IPSeg"), *formulas.values()} == {"B", "P"}
    assert second.rows[-1].printed == {
        "coco-stuff": {"": 32.7},
        "pascal-voc": {"": 57.9},
        "pascal-context": {"": 67.7},
    }
    assert [row.label for row in second.rows if row.kind != "names"] == ["IPSeg"]
    assert {row.support for row in first.rows if row.profile} == {"mask", "saliency"}


@pytest.mark.parametrize("number", [0, 8])
def test_other_tables_are_refused(number):
    with pytest.raises(ConfigError, match=f"there is no table {number} to run; tables 1-7 of"):
        paper_table(number)
