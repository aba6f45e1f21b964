"""The report of a second round says what it changed."""

import re

import pytest
from skimage import data

from ipseg.errors import OutputError
from jobs.report.write import write_report
from pipeline.labels.decisions import Decision, Session, mask_hash


def test_what_a_second_round_has_changed(maker, page, tmp_path):
    size = data.chelsea().shape[:2]
    cat = maker.found("cat", maker.disc(size, (150, 120), 60), 0.9)
    first, second = str(tmp_path / "one"), str(tmp_path / "two")
    keys = ("kept", "lost", "never")
    cup = maker.found("cup", maker.disc(size, (150, 300), 40), 0.8)  # of the first round alone
    maker.write(
        first,
        [
            maker.row(k, "chelsea", objects=[cat, cup] if k != "never" else [], metrics=[])
            for k in keys
        ],
        ["cat", "cup"],
    )
    maker.write(
        second,
        [maker.row(k, "chelsea", objects=[cat] if k == "kept" else [], metrics=[]) for k in keys],
        ["cat"],
    )
    accepted = Decision("kept", "accept", "cat", 0, mask_hash(cat.segmentation))
    Session(first, "ann").add([accepted])
    found = page(write_report(second, since=first))
    changed = found.sections["What has changed"]
    assert "in 3 images that both have" in changed
    cells = re.findall(r'<td class="n">([^<]*)</td>', changed)
    assert cells == ["1", "0", "0", "1", "1 of 1", "0 of 0"]
    assert found.keys("Largest changes") == ["lost", "kept"], "of both the cup is gone"
    assert all(f'<span class="what">{when}</span>' in found.html for when in ("before", "now"))
    with pytest.raises(OutputError, match="no run at"):
        write_report(second, since=str(tmp_path / "none"))
