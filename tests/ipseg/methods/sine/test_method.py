"""SINE from prompts to objects, with tiny weights of the real classes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from ipseg.bank import PromptsInMemory
from ipseg.config import load_config
from ipseg.errors import ConfigError
from ipseg.methods.chain import image_chain, prompt_chains
from ipseg.methods.sine.answers import convincing_beyond, identities, owners
from ipseg.methods.sine.canvas import View
from ipseg.methods.sine.mformer import Prediction
from ipseg.rows import Row
from ipseg.runner import prepare, run_local
from ipseg.vision.images import encode_png

SETTINGS = ["models.device=cpu", "canvas.side=112"]


@pytest.fixture(scope="module")
def config(tiny_root):
    def config(*overrides, profile="sine"):
        return load_config(profile, [f"models.root={tiny_root}", *SETTINGS, *overrides])

    return config


def ellipse(shape, y, x, a, b):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1


@pytest.fixture(scope="module")
def prompts(photos, tmp_path_factory) -> list[Row]:
    """Two concepts, the second with two examples."""
    folder = tmp_path_factory.mktemp("prompts")
    rows = []
    for key, concept, image in (
        ("cup", "cup", photos["cup"]),
        ("cat/1", "cat", photos["cat"]),
        ("cat/2", "cat", np.ascontiguousarray(photos["cat"][:, ::-1])),
    ):
        mask = (
            ellipse(image.shape, 100, 150, 60, 50)
            if concept == "cup"
            else ellipse(image.shape, 80, 120, 20 if key == "cat/1" else 70, 40)
        )
        path = folder / f"{key.replace('/', '-')}.mask.png"
        path.write_bytes(encode_png(mask.astype(np.uint8) * 255))
        rows.append(
            {"key": key, "concept": concept, "uri": key, "image_bytes": encode_png(image)}
            | {"given_mask": f"{path}#object"}
        )
    return rows


@pytest.fixture(scope="module")
def image(photos) -> Row:
    return {
        "key": "both",
        "uri": "both",
        "image_bytes": encode_png(photos["cup"][20:, ::-1].copy()),
    }


def bank_of(config, prompts):
    steps = prompt_chains({"": config}).steps
    prepare(steps)
    return PromptsInMemory(list(run_local(steps, prompts)), config.method.merge)


def objects(config, bank, row):
    steps = image_chain({"": config}, {"": bank})
    prepare(steps)
    (done,) = run_local(steps, [row])
    assert done.get("error_message") is None
    return done["objects"]


@pytest.fixture(scope="module")
def bank(config, prompts):
    return bank_of(config(), prompts)


def test_the_bank_keeps_sums_of_every_example(bank):
    assert {name: a.shape for name, a in bank.features("cup").items()} == {
        "sums": (1, 32),
        "areas": (1,),
    }
    cat = bank.features("cat")
    assert cat["sums"].shape == (2, 32)
    assert cat["areas"][1] > 2 * cat["areas"][0] > 0
    assert all(array.dtype == np.float32 for array in cat.values())


def test_all_tasks_share_a_bank_and_one_pass_of_the_encoder(config, prompts, bank, image):
    variants = {task: config(f"task={task}") for task in ("semantic", "instance", "identity")}
    chains = prompt_chains(variants)
    assert set(chains.chain_of.values()) == {""}, "examples are described once"
    steps = image_chain(variants, dict.fromkeys(variants, bank))
    prepare(steps)
    (network,) = {id(part): part for step in steps for part in step.networks}.values()
    passes = []
    hook = network._encoder.register_forward_hook(lambda *_: passes.append(1))
    (row,) = run_local(steps, [image])
    hook.remove()
    assert len(passes) == 1, "of two concepts, three examples and three tasks"
    found = {task: [o for o in row["objects"] if o.variant == task] for task in variants}
    assert all(found.values())
    for task, settings in variants.items():
        alone = objects(settings, bank, image)
        assert [replace(o, variant="") for o in found[task]] == alone


def test_a_task_does_not_run_the_path_of_another(config, bank, image):
    for task, at_once in (("semantic", 20 + 2), ("identity", 1)):
        steps = image_chain({"": config(f"task={task}")}, {"": bank})
        prepare(steps)
        (network,) = steps[-1].networks
        tokens = []
        layer = network.mformer.transformer_layers[0]
        hook = layer.register_forward_pre_hook(
            lambda module, given, t=tokens: t.append(len(given[0]))
        )
        list(run_local(steps, [image]))
        hook.remove()
        assert tokens == [at_once, at_once], "one pass for each concept"


def test_instances_are_numbered_from_the_best_score_on(config, bank, image):
    # Of the bank of another canvas: these are numbers that it does not matter to.
    found = objects(config(profile="sine-instances"), bank, image)
    for concept in ("cat", "cup"):
        mine = [o for o in found if o.concept == concept]
        assert [o.instance for o in mine] == list(range(len(mine)))
        assert all(one.score >= other.score for one, other in pairwise(mine))
        assert all(
            o.score == pytest.approx(o.evidence["class_probability"] * o.evidence["outline"])
            for o in mine
        )
    assert len(found) > 10
    few = objects(config("instance.limit=7", profile="sine-instances"), bank, image)
    assert 0 < len(few) <= 7
    least = sorted(o.score for o in found)[len(found) // 2]
    kept = objects(config(f"instance.min_score={least}", profile="sine-instances"), bank, image)
    assert all(o.score > least for o in kept)


def test_instances_beyond_the_limit_are_said_not_silent(config, bank, image, caplog):
    found = objects(config(profile="sine-instances"), bank, image)
    assert not any("beyond_limit" in o.evidence for o in found)
    assert not caplog.records
    # Pairs that are there more likely than not, whatever the tiny network thinks of the image.
    likely = torch.tensor([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    prediction = Prediction(likely, torch.eye(4), torch.zeros(4, 8, 8))
    assert [convincing_beyond(prediction, limit) for limit in (1, 2, 3, 9)] == [2, 1, 0, 0]
    probable = sum(o.evidence["class_probability"] >= 0.5 for o in found)
    assert probable > 2, "the bank has two concepts, of which each instance is one or the other"
    few = objects(config("instance.limit=2", profile="sine-instances"), bank, image)
    assert {o.evidence["beyond_limit"] for o in few} == {float(probable - 2)}
    assert f"both has {probable - 2} more probable instances than instance.limit=2" in caplog.text


def test_concepts_that_are_asked_for_together_compete(config, bank, image):
    apart = objects(config("task=instance"), bank, image)
    together = objects(config("task=instance", "asking.concepts=together"), bank, image)
    best = {o.concept: o.evidence["class_probability"] for o in reversed(apart)}
    rivals = {o.concept: o.evidence["class_probability"] for o in reversed(together)}
    assert rivals["cup"] != pytest.approx(best["cup"], abs=1e-3)
    assert not config("task=instance").method.concepts_compete
    assert config("asking.concepts=together").method.concepts_compete


@pytest.mark.parametrize("task", ["semantic", "identity"])
@pytest.mark.parametrize("rule", ["best", "last"])
def test_overlaps_are_shared_out(config, bank, image, task, rule):
    together = (f"task={task}", "asking.concepts=together", "semantic.threshold=0.1")
    kept = {o.concept: o.mask for o in objects(config(*together), bank, image)}
    shared = {
        o.concept: o.mask
        for o in objects(config(*together, f"asking.overlaps={rule}"), bank, image)
    }
    assert (kept["cat"] & kept["cup"]).any()
    union = kept["cat"] | kept["cup"]
    parts = [shared.get(name, np.zeros_like(union)) for name in ("cat", "cup")]
    assert not (parts[0] & parts[1]).any()
    assert ((parts[0] | parts[1]) == union).all()
    if rule == "last":
        assert (shared["cup"] == kept["cup"]).all()


def test_owners_of_pixels():
    squares = torch.full((2, 8, 8), -1.0)
    squares[0, :6], squares[1, 2:] = 2.0, 1.0
    squares[1, 3] = 5.0
    prediction = Prediction(torch.zeros(2, 2), torch.eye(2), squares)
    view = View((8, 8), (8, 8))
    best, last = (owners(prediction, view, (8, 8), rule) for rule in ("best", "last"))
    assert best[:, 0].tolist() == [0, 0, 0, 1, 0, 0, 1, 1]
    assert last[:, 0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    squares[:, 4] = -1.0
    assert owners(prediction, view, (8, 8), "best")[4, 0] == -1
    assert [int(i.mask.sum()) for i in identities(prediction, view, (8, 8))] == [40, 40]


def test_an_absent_object_is_drawn_unless_one_says_how_sure_it_must_be(config, bank, image):
    drawn = objects(config("task=identity"), bank, image)
    assert [o.concept for o in drawn] == ["cat", "cup"]
    presence = {o.concept: o.evidence["presence"] for o in drawn}
    assert all(0 <= value <= 1 for value in presence.values())
    between = sum(presence.values()) / 2
    kept = objects(config("task=identity", f"identity.min_presence={between}"), bank, image)
    assert [o.concept for o in kept] == [max(presence, key=presence.get)]


def test_a_pixel_is_of_the_class_above_the_threshold(config, bank, image):
    low = {o.concept: o for o in objects(config(), bank, image)}
    assert set(low) == {"cat", "cup"}
    for concept, each in low.items():
        mean = each.evidence["class_score_mean"]
        found = objects(config(f"semantic.threshold={mean}"), bank, image)
        (high,) = (o for o in found if o.concept == concept)
        assert not (high.mask & ~each.mask).any()
        assert 0 < high.area < each.area
        assert mean < high.evidence["class_score_mean"] < high.evidence["class_score_max"]
        assert 0.7 < each.score <= high.score <= 1


@pytest.mark.parametrize(
    ("profile", "released", "other"),
    [
        ("sine", "asking.attention_mask=frozen", "each_layer"),
        ("sine", "canvas.padding=square", "tight"),
        ("sine", "semantic.threshold=0.7", "0.5"),
        ("sine-instances", "canvas.colour=bgr", "rgb"),
        ("sine-instances", "instance.limit=100", "200"),
        ("sine-objects", "identity.min_presence=0.0", "0.5"),
        ("sine-video", "asking.overlaps=last", "best"),
        ("sine-video", "memory.encode=again", "cached"),
        ("sine-video", "memory.from_first=true", "false"),
        ("sine-video", "memory.unit=file_number", "index"),
        ("sine-video", "memory.frames=2", "6"),
        ("sine-video", "models.precision=float16", "float32"),
    ],
)
def test_every_switch_of_the_release_can_be_set_and_is_bound_to_the_run(profile, released, other):
    path = released.partition("=")[0]
    configs = [load_config(profile, [each]) for each in (released, f"{path}={other}")]
    section, _, name = path.partition(".")
    values = [config.relevant[section][name] for config in configs]
    written = [str(value).lower() for value in values]
    assert written == [released.partition("=")[2], other]
    assert configs[0].sha256 != configs[1].sha256


def test_swapped_channels_and_a_tight_canvas_are_other_results(config, prompts, image):
    plain, *others = (
        objects(settings, bank_of(settings, prompts), image)
        for settings in (config(), config("canvas.colour=bgr"), config("canvas.padding=tight"))
    )
    assert plain
    for other in others:
        assert [o.evidence for o in other] != [o.evidence for o in plain]


def test_an_object_that_vanishes_in_the_canvas_is_an_error_of_its_prompt(
    config, prompts, photos, tmp_path
):
    mask = np.zeros(photos["cup"].shape[:2], np.uint8)
    mask[1, 1] = 255
    (tmp_path / "dot.png").write_bytes(encode_png(mask))
    row = {**prompts[0], "given_mask": f"{tmp_path}/dot.png#object"}
    steps = prompt_chains({"": config()}).steps
    prepare(steps)
    (done,) = run_local(steps, [row])
    assert done["error_type"] == "PromptError"
    assert "has 1 pixels, of which nothing is left" in done["error_message"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("asking.overlaps=best",), "set asking.concepts=together"),
        (("asking.overlaps=last", "asking.concepts=together", "task=instance"), "set keep"),
        (("task=instances",), "task"),
    ],
)
def test_settings_that_have_no_meaning_are_refused(config, overrides, message):
    with pytest.raises(ConfigError, match=message):
        config(*overrides)
