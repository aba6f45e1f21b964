"""Operations of the networks of single methods."""

import numpy as np
import pytest
import torch

from ipseg.config import load_config
from ipseg.methods.matcher.sampling import drawn_for, subsets
from ipseg.methods.matcher.settings import Sampling
from jobs.bench.counting import count
from jobs.bench.decodes import prompt_counts
from jobs.bench.method_parts import used

KINDS = ("apart", "together")


# TFLOP of one image and of one concept, as separate counts of the same networks had them.
@pytest.mark.parametrize(
    ("profile", "field", "image", "concept"),
    [
        ("seggpt", "network", 0.001, 1.585),
        ("groupvit", "groupvit", 2 * 0.0276, 0),
        ("sam3", "sam3", 0, 5.613 + 0.424),
        ("grounded-sam", "detector", 0.161, 0.496),
        ("gf-sam", "tokens", 1.014, 2 * 1369**2 * 1024 / 1e12),
        ("insid3", "network", 4.137 + 2 * 4096**2 * 1024 / 1e12, 2 * 4096**2 * 1024 / 1e12),
        ("no-time-to-train", "network", 1.014, 0),
    ],
)
def test_a_network_is_counted_as_its_method_uses_it(profile, field, image, concept):
    method = load_config(profile).method
    counted = used(getattr(method, field), method)
    assert sum(counted.operations.values()) / 1e12 == pytest.approx(image, abs=2e-3)
    assert sum(counted.concept.values()) / 1e12 == pytest.approx(concept, abs=2e-3)
    assert not counted.left_out


def test_concepts_that_sine_is_asked_for_together_share_a_pass():
    apart, together = (load_config("sine", [f"asking.concepts={how}"]).method for how in KINDS)
    one, shared = (used(method.network, method) for method in (apart, together))
    assert sum(one.operations.values()) < sum(shared.operations.values())
    assert shared.concept["M-Former"] < 0.01 * one.concept["M-Former"]
    totals = [sum((each.operations | each.concept).values()) for each in (one, shared)]
    assert totals[0] == totals[1], "of one concept"


@pytest.mark.parametrize(
    "settings",
    [{"centres": 8}, {"centres": 3}, {"centres": 12, "least": 2}, {"least": 1, "subsets": 64}],
)
def test_matcher_asks_with_as_many_sets_as_are_counted(settings):
    sampling = Sampling(**settings)
    points = np.arange(2 * (sampling.centres or 50)).reshape(-1, 2)
    sets = subsets(points, sampling, drawn_for(0, "cup"))
    assert prompt_counts(sampling) == {group.shape[1]: len(group) for group in sets}


def test_a_number_that_meta_does_not_have_stops_the_count():
    with pytest.raises(RuntimeError, match="depend on a number"):
        count(lambda: torch.ones(3).sum().item())
    assert count(lambda: torch.ones(2, 2) @ torch.ones(2, 2) if torch.ones(2).all() else None) == 16
