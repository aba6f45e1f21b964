"""What is compared: profiles, kinds of support, rows of a table of the paper."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ipseg.benchmarks.published.paper_tables import paper_table
from ipseg.components import METHODS
from ipseg.config import load_config
from ipseg.errors import ConfigError, WeightsError
from ipseg.saliency.cornet import CorNetSaliency
from jobs.evaluation.refusal import refused, without
from jobs.evaluation.request import EvaluationRequest
from jobs.evaluation.settings import NAMED, Choice

NO_BENCHMARK: Any = None  # which settings do not ask
KINDS = ("mask", "saliency")


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


def test_a_method_without_a_profile_takes_that_of_its_name(caplog):
    for name in METHODS:
        assert load_config(None, method=name).method_name == load_config(name).method_name == name
    with caplog.at_level(logging.INFO, "ipseg"):
        found = choice(methods=("persam", "insid3"), given_mask=True).settings()
    assert {each.label: each.config.profile for each in found} == {
        "persam": "persam",
        "insid3": "insid3",
    }
    assert "method insid3 with the parts of profile insid3" in caplog.messages
    (alone,) = choice().settings()
    assert (alone.label, alone.config.profile) == ("", "classical")
    (mixed,) = choice(methods=("insid3",), profiles=("classical",)).settings()
    assert (mixed.config.profile, mixed.config.method_name) == ("classical", "insid3")


def test_settings_are_for_the_methods_that_have_them(caplog):
    methods = ("persam", "insid3", "foris")
    with caplog.at_level(logging.INFO, "ipseg"):
        found = choice(["components=16", "models.device=cpu"], methods=methods).settings()
    config = {setting.label: setting.config for setting in found}
    assert config["insid3"].method.components == config["foris"].method.components == 16
    assert {each.models.device for each in config.values()} == {"cpu"}
    assert "--set components=16 is for foris, insid3 alone" in caplog.messages
    for wrong in ("componentz=16", "segmenter.sighs=1"):
        with pytest.raises(ConfigError, match=f"unknown setting '{wrong.partition('=')[0]}'"):
            choice([wrong], methods=methods).settings()
    with pytest.raises(ConfigError, match="components"):
        choice(["components=many"], methods=methods).settings()


def test_a_method_without_the_setting_of_a_sweep_is_there_once():
    swept = choice(methods=("persam", "insid3"), sweep=["components=8,16"]).settings()
    assert {each.label: each.overrides for each in swept} == {
        "persam": (),
        "insid3, components=8": ("components=8",),
        "insid3, components=16": ("components=16",),
    }


def test_a_method_that_goes_by_names_has_no_support_and_the_names_of_the_data():
    wanted = EvaluationRequest(
        benchmark=NO_BENCHMARK, out="run", methods=("persam", "groupvit"), support=KINDS
    )
    found = Choice(wanted, (), False, lambda: ["tea cup", "cat"]).settings()
    named = {setting.label: setting.config for setting in found}
    assert list(named) == ["persam, support=mask", "persam, support=saliency", f"groupvit, {NAMED}"]
    assert named[f"groupvit, {NAMED}"].method.naming.others == ("tea cup", "cat")
    assert named[f"groupvit, {NAMED}"].support.kind == "none"
    own = Choice(wanted, ["naming.others=[sky]"], False, lambda: ["tea cup", "cat"]).settings()
    assert own[-1].config.method.naming.others == ("sky",)
    alone = Choice(wanted, (), False, lambda: ["cat"]).settings()[-1].config
    assert alone == load_config("groupvit"), "a name alone has nothing to compete with"


def test_what_cannot_run_is_left_out_with_its_reason(tiny_root, tmp_path, caplog):
    own = [f"models.root={tiny_root}"]
    found = choice(own, methods=("persam", "insid3"), given_mask=True).settings()
    with caplog.at_level(logging.WARNING, "ipseg"):
        reasons = refused(found)
    assert list(reasons) == ["insid3"]
    assert "components=500 projects out all" in reasons["insid3"]
    assert any(message.startswith("insid3 is not run: ") for message in caplog.messages)
    assert [each.label for each in without(found, reasons)] == ["persam"]
    with pytest.raises(ConfigError, match="components=500"):
        refused(found[1:])
    (boxed,) = choice(own, methods=("insid3",), support=("box",)).settings()
    with pytest.raises(ConfigError, match="needs a segmenter"):
        refused([boxed])
    (bare,) = choice([f"models.root={tmp_path}"], methods=("persam",)).settings()
    with pytest.raises(WeightsError, match="are missing"):
        refused([bare])


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
