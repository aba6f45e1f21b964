"""No Time To Train from prompts to objects, with tiny weights of the real classes."""

import numpy as np
import pytest

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.errors import ConfigError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png


@pytest.fixture(scope="module")
def config(tiny_root):
    def config(*overrides, **more):
        usual = [f"models.root={tiny_root}", "models.device=cpu", "network.size=112"]
        usual += ["proposing.points_per_side=4", "segmenter.weights=facebook/sam2.1-hiera-tiny"]
        return load_config("no-time-to-train", [*usual, *overrides], **more)

    return config


@pytest.fixture(scope="module")
def bank(config, photos, tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("prompts"), []
    for key, name in (("1", "cup"), ("2", "cat"), ("3", "cat")):
        mask = np.zeros(photos[name].shape[:2], np.uint8)
        mask[60:150, 80 : 200 + 20 * int(key)] = 255
        (folder / f"{key}.mask.png").write_bytes(encode_png(mask))
        row = {"key": key, "uri": key, "concept": name, "image_bytes": encode_png(photos[name])}
        rows.append(row | {"given_mask": f"{folder}/{key}.mask.png#object"})
    steps = prompt_chains({"": config()}).steps
    prepare(steps)
    return PromptsInMemory(list(run_local(steps, rows)), config().method.merge)


@pytest.fixture(scope="module")
def find(photos, bank):
    def find(config, image=None, **more):
        steps = image_chain({"": config}, {"": bank})
        prepare(steps)
        image = photos["cat"] if image is None else image
        row = {"key": "a", "uri": "a", "image_bytes": encode_png(image), **more}
        (done,) = run_local(steps, [row])
        assert done.get("error_message") is None
        return done["objects"]

    return find


def test_a_concept_is_one_vector(bank):
    assert {name: each.shape for name, each in bank.features("cat").items()} == {"instance": (32,)}


def test_instances_are_numbered_from_the_best_on(config, find):
    found = find(config())
    assert found
    for concept in {each.concept for each in found}:
        own = [each for each in found if each.concept == concept]
        assert [each.instance for each in own] == list(range(len(own)))
        scores = [each.score for each in own]
        assert scores == sorted(scores, reverse=True)
        assert all(each.points.shape == (1, 3) for each in own)


def test_concepts_compete_unless_they_are_looked_for_apart(config, find):
    ask = {"asks": [{"concept": "cat"}]}
    apart = config("labelling.concepts=apart")
    assert config().method.concepts_compete
    assert not apart.method.concepts_compete
    both, alone = find(apart), find(apart, **ask)
    assert [each for each in both if each.concept == "cat"] == alone
    together = find(config())
    assert len([each for each in together if each.concept == "cat"]) <= len(alone)
    assert find(config(), **ask) == alone


def test_no_proposal_no_object(config, find):
    assert find(config("proposing.min_predicted_iou=100")) == []


def test_a_blank_image_is_no_error(config, find):
    assert all(each.area for each in find(config(), np.full((30, 50, 3), 80, np.uint8)))


def test_collections_are_labelled_with_a_least_score(config):
    assert config().method.labelling.min_score == 0
    assert config(labelling=True).method.labelling.min_score == 0.3


@pytest.mark.parametrize("overrides", [("segmenter.aspect=letterbox",), ("segmenter.aspect=null",)])
def test_a_segmenter_that_the_image_does_not_fill_is_refused(config, overrides):
    with pytest.raises(ConfigError, match="aspect=stretch"):
        config(*overrides)
