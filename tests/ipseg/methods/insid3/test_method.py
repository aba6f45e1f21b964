"""INSID3 and FoRIS from prompts to objects, with tiny weights of the real class."""

import numpy as np
import pytest
import torch

from ipseg.errors import ConfigError
from ipseg.methods.foris import steps as foris_steps
from ipseg.methods.insid3 import steps as insid3_steps
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png

PROFILES = {"insid3": insid3_steps, "foris": foris_steps}


def row(image, **more):
    return {"key": "a", "uri": "a", "image_bytes": encode_png(image), **more}


@pytest.mark.parametrize("profile", PROFILES)
def test_80_concepts_cost_one_pass_and_one_clustering(
    profile, config, described, steps_of, prompts, monkeypatch
):
    settings = config(profile=profile)
    image = prompts[0][1]
    bank = described(settings, prompts[0], copies=80)
    steps = steps_of(settings, bank)
    passes, whole = [], []
    module = PROFILES[profile]
    compute = module.clusters_of

    def counted(features, alike):
        whole.append(len(features))
        return compute(features, alike)

    monkeypatch.setattr(module, "clusters_of", counted)
    steps[-1].network._network.register_forward_hook(lambda *_: passes.append(1))
    (done,) = run_local(steps, [row(image[:, ::-1].copy())])
    assert done.get("error_message") is None
    assert len(done["objects"]) == 80
    assert len(passes) == 1
    assert len(whole) <= 2, "with and without positions at most"


@pytest.mark.parametrize("profile", PROFILES)
def test_the_bank_keeps_the_cells_of_every_example(profile, config, described, prompts):
    settings = config(profile=profile)
    cup, cat = prompts
    bank = described(settings, cup, cat, ("cat", cat[1][:, ::-1].copy(), cat[2][:, ::-1].copy()))
    assert bank.features("cup")["features"].shape == (1, 64, 32)
    kept = bank.features("cat")
    assert kept["features"].shape == (2, 64, 32)
    assert kept["masks"].shape == (2, 64)
    assert (kept["masks"].sum(axis=1) > 10).all()
    np.testing.assert_allclose(np.linalg.norm(kept["features"], axis=2), 1, atol=1e-5)


@pytest.mark.parametrize("profile", PROFILES)
def test_more_components_than_channels_are_refused(profile, config, prompts, described, steps_of):
    bank = described(config(profile=profile), *prompts)
    with pytest.raises(ConfigError, match=r"projects out all 32 .* half of them, 16: the"):
        steps_of(config("components=500", profile=profile), bank)


@pytest.mark.parametrize("profile", PROFILES)
def test_so_they_are_before_anything_is_loaded(profile, config):
    fits, too_many = (config(f"components={n}", profile=profile) for n in (31, 32))
    fits.method.check(fits.models)
    with pytest.raises(ConfigError, match="Set components below 32"):
        too_many.method.check(too_many.models)


def test_nothing_like_the_object_gives_no_object(config, described, steps_of, prompts):
    """Where each cell of an image is nearer to the background of the example."""
    settings = config()
    bank = described(settings, prompts[0])
    kept = bank.features("cup")
    (step,) = (each for each in steps_of(settings, bank) if each.name == "segment")
    background = torch.from_numpy(kept["features"][0][~kept["masks"][0]][0])
    grid = background[:, None, None].expand(-1, 8, 8)
    (entry,) = bank.asked({})
    target = insid3_steps.Target(grid, torch.zeros(32, 1), 0.6)
    image = insid3_steps.OnImage(prompts[0][1], 128, "cells")
    assert step._find(entry, target, image) is None
    assert "clusters" not in vars(target), "and is not clustered"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_blank_image_is_no_error(profile, config, described, steps_of, prompts):
    settings = config(profile=profile)
    steps = steps_of(settings, described(settings, *prompts))
    (done,) = run_local(steps, [row(np.full((40, 60, 3), 90, np.uint8))])
    assert done.get("error_message") is None
    assert all(0 <= each.score <= 1 for each in done["objects"])


def test_foris_says_that_nothing_is_there_by_its_presence(
    config, described, steps_of, prompts, monkeypatch
):
    settings = config(profile="foris")
    steps = steps_of(settings, described(settings, prompts[0]))
    monkeypatch.setattr(
        foris_steps, "votes", lambda features, _: torch.zeros(len(features), dtype=torch.int64)
    )
    (done,) = run_local(steps, [row(prompts[1][1])])
    (found,) = done["objects"]
    assert found.evidence["presence"] == found.confidence == 0
    assert found.area > 0


def test_colour_and_place_are_a_setting_of_foris(config, described, steps_of, prompts):
    bank = described(config(profile="foris"), *prompts)
    found = []
    for value in ("true", "false"):
        steps = steps_of(config(f"colour_and_place={value}", profile="foris"), bank)
        (done,) = run_local(steps, [row(prompts[0][1][:, ::-1].copy())])
        found.append([each.score for each in done["objects"]])
    assert found[0] != pytest.approx(found[1], abs=1e-6)


def test_steps_share_a_network_and_its_basis(config, described, steps_of, prompts):
    bank = described(config(), *prompts)
    steps = [steps_of(config(f"threshold={value}"), bank)[-1] for value in (0.1, 0.3)]
    prepare(steps)
    assert steps[0].network is steps[1].network
    assert len(steps[0].network._kept) == 1
