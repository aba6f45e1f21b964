"""What is compared: profiles, kinds of support, rows of a table of the paper."""

from __future__ import annotations

from typing import Any

import pytest

from ipseg.benchmarks.published.paper_tables import paper_table
from ipseg.errors import ConfigError
from ipseg.saliency.cornet import CorNetSaliency
from jobs.evaluation.request import EvaluationRequest
from jobs.evaluation.settings import Choice

NO_BENCHMARK: Any = None  # which settings do not ask


def choice(overrides=(), given_mask=False, **request):
    wanted = EvaluationRequest(benchmark=NO_BENCHMARK, out="run", **request)
    return Choice(wanted, overrides, given_mask)


def test_every_profile_runs_with_every_kind_of_support():
    both = choice(profiles=("persam", "classical"), support=("mask", "saliency"))
    found = {setting.label: setting for setting in both.settings()}
    assert {label: each.config.support.kind for label, each in found.items()} == {
        "persam, support=mask": "mask",
        "persam, support=saliency": "saliency",
        "classical, support=mask": "mask",
        "classical, support=saliency": "saliency",
    }
    assert not any(each.overrides for each in found.values()), "no setting of the method"
    # As the paper's row Matcher-Z: a method without saliency gets that of the paper.
    paper = found["persam, support=saliency"].config.support.saliency
    assert isinstance(paper, CorNetSaliency)
    own = found["classical, support=saliency"].config.support.saliency
    assert not isinstance(own, CorNetSaliency)


def test_one_kind_of_support_has_no_label():
    (setting,) = choice(support=("none",)).settings()
    assert (setting.label, setting.config.support.kind) == ("", "none")


def test_rows_of_other_methods_run_with_their_own_profiles():
    of_paper = choice(
        ["points.k=16", "models.device=cpu"], profiles=("ipseg",), given_mask=False
    ).rows_of(paper_table(1))
    rows = {setting.label: setting.config for setting in of_paper}
    assert {"PerSAM", "IPSeg"} <= rows.keys()
    assert not {"Painter", "DeLVM"} & rows.keys()
    assert (rows["PerSAM"].method_name, rows["PerSAM"].support.kind) == ("persam", "mask")
    assert (rows["IPSeg"].method_name, rows["IPSeg"].support.kind) == ("ipseg", "saliency")
    assert rows["IPSeg"].method.points.k == 16
    assert rows["PerSAM"].models.device == "cpu"


def test_rows_that_are_the_same_are_refused():
    with pytest.raises(ConfigError, match="are the same"):
        choice(profiles=("classical",)).rows_of(paper_table(3))
