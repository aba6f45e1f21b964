"""What a run would do, found out without doing it."""

import pytest

from ipseg.errors import ConfigError, PlanError
from pipeline.plan import preview

pytestmark = pytest.mark.usefixtures("ray_session")


def names(plan):
    return [each.stage.name for each in plan.stages]


def test_a_plan_has_the_stages_of_images_and_of_prompts_with_their_settings(painted):
    settings = ("runtime.stages.read+near.batch_size=7", "runtime.stages.support.cpus=0.25")
    found = preview(painted.request("run", *settings), calibrated=False)
    assert names(found.images) == ["read+near"]
    assert names(found.prompts) == ["read", "support", "colour+keep+thumbnail"]
    assert found.images.stages[0].batch_size == 7
    assert {each.stage.name: each.cpus for each in found.prompts.stages}["support"] == 0.25
    assert (found.rows, found.costs, found.estimate) == (5, None, None)
    assert not (painted.root / "run").exists()


def test_a_plan_refuses_stages_that_there_are_not(painted):
    wrong = painted.request("run", "runtime.stages.read+neer.batch_size=7")
    with pytest.raises(ConfigError, match=r"unknown stage 'read\+neer'; did you mean 'read\+near'"):
        preview(wrong, calibrated=False)


def test_with_a_bank_no_prompts_are_planned(painted):
    painted.segment("made")
    given = painted.request("run", bank=f"{painted.root}/made")
    found = preview(given, calibrated=False, count=50)
    assert found.prompts is None
    assert found.rows == 50


def test_the_rows_of_sequences_are_folders(painted):
    found = preview(painted.request("run", "method=tint:TintInSequences"), calibrated=False)
    assert found.rows == 2


def test_a_plan_that_does_not_fit_is_refused(painted):
    with pytest.raises(PlanError, match="support"):
        preview(painted.request("run", "runtime.stages.support.actors=50"), calibrated=False)
