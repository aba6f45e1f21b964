"""Calibration of a run on masks and on decisions, kept in its folder and taken over by others."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipseg.errors import ConfigError, OutputError, SourceError
from ipseg.objects import Object
from ipseg.vision.masks import encode_rle
from pipeline.labels.calibrate import calibrate
from pipeline.labels.calibration import Calibration, probabilities
from pipeline.labels.decisions import Decision, Session, mask_hash
from pipeline.labels.selection import select
from pipeline.labels.truth import labels_from_masks, labels_from_review
from pipeline.runfolder.manifest import Manifest
from pipeline.runfolder.sink import Provenance, ShardWriter

TRUE = np.zeros((12, 16), bool)
TRUE[2:8, 3:9] = True
WRONG = TRUE[:, ::-1]
CONCEPTS = ("cat", "cup")


@dataclass
class World:
    """A run whose scores mean something, and its ground truth."""

    root: Path
    objects: dict[str, list[Object]]
    present: dict[str, list[str]]

    @property
    def out(self):
        return str(self.root / "run")

    def masks(self, keys, name="masks"):
        """Ground truth of some images; those with no concept have a black mask."""
        folder = self.root / name
        for concept in CONCEPTS:
            (folder / concept).mkdir(parents=True, exist_ok=True)
        for key in keys:
            for concept in self.present[key] or CONCEPTS[:1]:
                mask = TRUE if self.present[key] else np.zeros_like(TRUE)
                Image.fromarray(mask.astype(np.uint8) * 255).save(folder / concept / f"{key}.png")
        return str(folder)

    def decide(self, keys, **more):
        """What a person says of all objects of some images."""
        return Session(self.out, "ann").add(
            [
                Decision(
                    key,
                    "accept" if each.concept in self.present[key] and each.mask[4, 5] else "reject",
                    each.concept,
                    each.instance,
                    mask_hash(each.segmentation),
                    **more,
                )
                for key in keys
                for each in self.objects[key]
            ]
        )


def write(root, images=80, seed=0, scoring=1):
    """One object of each concept in each image; it is right as often as the square of its score."""
    draw = np.random.default_rng(seed)
    objects, present = {}, {}
    for number in range(images):
        key = f"{number:03}"
        present[key], objects[key] = [], []
        for concept in CONCEPTS:
            score = float(np.float32(draw.uniform(0, 1)))
            right = draw.random() < score**2
            if right or draw.random() < 0.2:
                present[key].append(concept)
            mask = TRUE if right else WRONG
            objects[key].append(Object.of(concept, CONCEPTS.index(concept) + 1, mask, score))
    writer = ShardWriter(str(root / "run"), Provenance("r", "m", "c", ()))
    rows = [
        {"key": key, "shard": "a", "uri": key, "width": 16, "height": 12, "objects": each}
        | {"metrics": [], "chain_errors": []}
        for key, each in objects.items()
    ]
    writer.write(rows[: images // 2])
    writer.write(rows[images // 2 :])
    known = {"method": "m", "config_sha256": "c", "concepts": list(CONCEPTS), "bank": "bank"}
    identity = {"scoring": scoring, "source": str(root), "prompts": {}}
    Manifest(str(root / "run"), identity, known, [{"run_id": "r"}]).write()
    return World(root, objects, present)


@pytest.fixture
def world(tmp_path):
    return write(tmp_path)


def test_masks_are_labels_of_the_images_that_have_one(world):
    keys = sorted(world.objects)[:10]
    labels = labels_from_masks(world.out, world.masks(keys), CONCEPTS)
    assert labels.keys == set(keys)
    expected = {
        (key, each.concept): (each.concept in world.present[key] and bool(each.mask[4, 5]))
        for key in keys
        for each in world.objects[key]
    }
    assert {(key, concept): good for key, concept, _, good in labels.objects} == expected
    assert {(k, c) for k, c, _, there in labels.images if there} == {
        (key, concept) for key in keys for concept in world.present[key]
    }
    everything = labels_from_masks(world.out, world.masks(keys), CONCEPTS, every_image=True)
    assert len(everything.images) == 2 * len(world.objects)


def test_masks_that_do_not_fit_are_left_out_and_counted(world):
    folder = world.masks(["000"])
    Image.fromarray(np.ones((3, 3), np.uint8)).save(f"{folder}/cup/001.png")
    labels = labels_from_masks(world.out, folder, CONCEPTS)
    assert sum(labels.left_out.values()) == 1
    other = world.masks(["000"], "other")
    Path(other, "cat", "000.png").rename(Path(other, "cat", "x.png"))
    Path(other, "cup", "000.png").unlink(missing_ok=True)
    with pytest.raises(SourceError, match=r"no image of .* has a mask"):
        labels_from_masks(world.out, other, CONCEPTS)


def test_instances_are_found_one_by_one(tmp_path):
    two = np.zeros((12, 16), bool)
    two[1:5, 1:5] = two[7:11, 9:14] = True
    world = write(tmp_path, images=1)
    left, right = two.copy(), two.copy()
    left[:, 8:], right[:, :8] = False, False
    objects = [
        Object.of("cup", 2, mask, score, instance=n)
        for n, (mask, score) in enumerate([(left, 0.9), (right, 0.8), (left, 0.3)])
    ]
    ShardWriter(world.out, Provenance("r", "m", "c", ())).write(
        [
            {"key": "two", "shard": "b", "uri": "two", "width": 16, "height": 12}
            | {"objects": objects, "metrics": [], "chain_errors": []}
        ]
    )
    (tmp_path / "masks" / "cup").mkdir(parents=True)
    Image.fromarray(two.astype(np.uint8) * 255).save(tmp_path / "masks/cup/two.png")
    labels = labels_from_masks(world.out, str(tmp_path / "masks"), CONCEPTS)
    assert [each[3] for each in labels.objects] == [True, True, False]
    assert labels.there == {("two", "cup"): 2}


def test_decisions_are_labels_where_they_are_a_fair_sample(world):
    keys = sorted(world.objects)
    world.decide(keys[:5])  # whole images
    one = world.objects["006"][0]
    about = ("006", "accept", one.concept, 0, mask_hash(one.segmentation))
    Session(world.out, "ann").add([Decision(*about, order="least sure first")])
    two = world.objects["007"][0]
    about = ("007", "accept", two.concept, 0, mask_hash(two.segmentation))
    Session(world.out, "ann").add([Decision(*about, sampled={"how": "random", "p": 0.1})])
    Session(world.out, "ann").add(
        [Decision("", "accept", rule={"concept": "cup", "min_score": 0.0})]
    )
    labels = labels_from_review(world.out, CONCEPTS)
    assert {each[0] for each in labels.objects} == {*keys[:5], "007"}
    assert {each[0] for each in labels.images} == set(keys[:5])
    assert labels.left_out == {
        "objects that were chosen, not drawn at random": 1,
        "objects that a rule accepted": 2,
    }


def test_repaired_and_relabelled_objects(world):
    first, second = world.objects["000"]
    slightly, other = first.mask.copy(), np.zeros_like(first.mask)
    slightly[4, 5] ^= True
    other[0, 0] = True
    for key, mask in (("000", slightly), ("001", other)):
        found = world.objects[key][0]
        about = (found.concept, 0, mask_hash(found.segmentation))
        Session(world.out, "ann").add(
            [Decision(key, "edit", *about, segmentation=encode_rle(mask))]
        )
    about = (second.concept, 0, mask_hash(second.segmentation))
    Session(world.out, "ann").add([Decision("000", "relabel", *about, relabel="bowl")])
    labels = labels_from_review(world.out, CONCEPTS)
    assert [each[3] for each in labels.objects if each[0] == "000"] == [True, False]
    assert dict.fromkeys(each[3] for each in labels.images if each[1] == "cup") == {False: None}


def test_a_calibration_is_kept_and_gives_probabilities(world):
    masks = world.masks(sorted(world.objects)[:40])
    done = calibrate(world.out, masks=masks)
    read = Calibration.read(world.out)
    assert (read.id, read.threshold("cup")) == (done.calibration.id, done.calibration.otherwise)
    found = [Object.of("cup", 2, TRUE, score) for score in (0.1, 0.5, 0.95)]
    low, middle, high = probabilities(read, found)
    assert 0 < low < 0.2 < high < 1
    assert low < middle < high
    assert read.present("cup", 0.9) > read.present("cup", 0.1)
    assert probabilities(None, found) == [None] * 3
    assert "pool" not in json.dumps(read.about)
    assert read.about["labels"]["images"] == 40
    # Scores are too high (their square is true); probabilities are not, on images not seen.
    others = world.masks(sorted(world.objects)[40:], "others")
    measured = calibrate(world.out, masks=others, of=world.out).measured["mask"]
    floor = measured["reliability"]["floor"]
    assert measured["reliability"]["ece"] <= floor + 0.05
    assert measured["raw"]["ece"] > measured["reliability"]["ece"]


def test_thresholds_of_a_calibration_select_labels(world):
    with pytest.raises(OutputError, match="is not calibrated"):
        select(world.out, threshold="calibrated")
    done = calibrate(world.out, masks=world.masks(world.objects))
    chosen = select(world.out, threshold="calibrated")
    assert chosen.thresholds == dict.fromkeys(CONCEPTS, done.calibration.otherwise)
    assert done.calibration.mask.of("cup")(done.calibration.otherwise) >= 0.5
    strict = calibrate(world.out, masks=world.masks(world.objects), precision=0.99)
    assert "no threshold has a precision of 0.99" in strict.warnings[-1]
    assert select(world.out, threshold="calibrated").absent == list(CONCEPTS)


def test_a_calibration_of_other_scores_selects_nothing(world):
    calibrate(world.out, masks=world.masks(world.objects))
    manifest = Manifest.read(world.out)
    manifest.identity["scoring"] = "rescored"
    manifest.write()
    with pytest.raises(OutputError, match="before its scores were changed"):
        select(world.out, threshold="calibrated")


def test_concepts_with_labels_have_functions_of_their_own(tmp_path):
    world = write(tmp_path, images=210)
    done = calibrate(world.out, masks=world.masks(world.objects))
    assert set(done.calibration.mask.concepts) == set(CONCEPTS)
    assert set(done.calibration.thresholds) == set(CONCEPTS)


def test_another_run_of_the_same_settings_takes_it_over(world, tmp_path):
    calibrate(world.out, masks=world.masks(world.objects))
    same = write(tmp_path / "same", seed=1)
    calibrate(same.out, of=world.out)
    assert Calibration.read(same.out) == Calibration.read(world.out)
    other = write(tmp_path / "other", scoring=2)
    with pytest.raises(ConfigError, match="of other settings, than"):
        calibrate(other.out, of=world.out)
    with pytest.raises(OutputError, match=r"has no calibration\.json"):
        calibrate(world.out, of=other.out)


def test_reviewed_images_serve_as_labels(world):
    with pytest.raises(OutputError, match="nobody has decided"):
        calibrate(world.out, reviewed=True)
    world.decide(sorted(world.objects)[:20])
    with pytest.raises(ConfigError, match=r"40 labels, .* are too few"):
        calibrate(world.out, reviewed=True)
    world.decide(sorted(world.objects)[20:50])
    done = calibrate(world.out, reviewed=True)
    assert done.calibration.about["labels"]["source"] == "review"
    assert done.calibration.about["labels"]["objects"] == 100


def test_wrong_calls(world):
    for given, match in (
        ({}, "give labels"),
        ({"masks": "x", "reviewed": True}, "either --labels or --reviewed"),
        ({"of": "x", "precision": 0.9}, "new calibration"),
        ({"masks": "x", "precision": 1.5}, "between 0 and 1"),
    ):
        with pytest.raises(ConfigError, match=match):
            calibrate(world.out, **given)
    (Path(world.out) / "calibration.json").write_text("{")
    with pytest.raises(OutputError, match="is damaged"):
        Calibration.read(world.out)
