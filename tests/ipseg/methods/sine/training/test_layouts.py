"""Collections on disk: which are found, what is read of them, what is refused."""

import json

import numpy as np
import pytest

from ipseg.benchmarks.dropped import Dropped
from ipseg.errors import SourceError
from ipseg.methods.sine.training.annotated import Annotated
from ipseg.methods.sine.training.layouts import prepared
from ipseg.methods.sine.training.pairs import shares
from ipseg.methods.sine.training.settings import Pairs
from ipseg.methods.sine.training.tables import panoptic_tables


def open_all(folder, cache, notes=None):
    notes = [] if notes is None else notes
    return [Annotated(place) for place in prepared(str(folder), cache, 3.0, notes.append)]


def test_the_mix_is_that_of_the_release(collections, tmp_path):
    names = ("coco", "ADEChallengeData2016", "objects365")
    found = [each for name in names for each in open_all(collections[name], tmp_path)]
    mix = dict(zip([each.name for each in found], shares(found, Pairs()), strict=True))
    assert {name: round(share, 3) for name, share in mix.items()} == {
        "coco/instances_train2017": 0.179,
        "coco/panoptic_train2017": 0.143,
        "ADEChallengeData2016/ade20k_panoptic_train": 0.143,
        "objects365/sam_objects365_train_75k": 0.536,
    }


@pytest.mark.parametrize("name", ["coco", "ADEChallengeData2016", "objects365", "mine"])
def test_objects_are_read_with_class_number_and_mask(collections, tmp_path, name):
    for each in open_all(collections[name], tmp_path):
        assert each.classes.tolist() == [3, 7]
        assert each.images_of(3).tolist() == [0, 2]
        assert each.images_of(7).tolist() == [0, 1]
        scene = each.read(0)
        by_class = dict(zip(scene.classes.tolist(), scene.masks, strict=True))
        assert by_class.keys() == {3, 7}
        red, blue = scene.image[..., 0] > 200, scene.image[..., 2] > 200
        np.testing.assert_array_equal(by_class[3], red)
        np.testing.assert_array_equal(by_class[7], blue)
        assert len(each.read(2).ids) == 1, "without the crowd"
        ids = {number for image in range(3) for number in each.read(image).ids.tolist()}
        assert ids == ({3000, 7000, 7001} if each.kind == "panoptic" else {1, 2, 3, 4, 5})


def test_images_of_a_panoptic_file_may_have_names_as_ids(collections, tmp_path):
    """As Mask2Former's prepare_ade20k_pan_seg.py writes them for ADE20K."""
    source = collections["ADEChallengeData2016"]
    folder = tmp_path / "ade"
    folder.mkdir()
    for each in ("ade20k_panoptic_train", "images"):
        (folder / each).symlink_to(source / each)
    content = json.loads((source / "ade20k_panoptic_train.json").read_text())
    by_number = panoptic_tables(str(source / "ade20k_panoptic_train.json"), None, Dropped())
    for each in content["images"]:
        each["id"] = f"ADE_train_{each['id']:08}"
    file = folder / "ade20k_panoptic_train.json"
    file.write_text(json.dumps(content))
    with pytest.raises(SourceError, match="no object that could be used") as error:
        panoptic_tables(str(file), None, Dropped())
    assert "3 left out: annotation of an image that is not listed" in str(error.value)
    assert "has image_id 1; ids of images are such as 'ADE_train_00000001'" in str(error.value)
    for each in content["annotations"]:
        each["image_id"] = f"ADE_train_{each['image_id']:08}"
    file.write_text(json.dumps(content))
    by_name = panoptic_tables(str(file), None, Dropped())
    assert by_name == by_number
    (each,) = open_all(folder, tmp_path / "cache")
    assert each.read(0).classes.tolist() == [3, 7]


def test_annotations_are_read_once(collections, tmp_path):
    first, second = [], []
    open_all(collections["mine"], tmp_path, first)
    open_all(collections["mine"], tmp_path, second)
    assert [line for line in first if "once" in line]
    assert not [line for line in second if "once" in line]
    assert second == [
        "mine/instances_train: 5 objects in 3 images of " + second[0].split(" of ")[1]
    ]


def test_what_cannot_be_used_is_named(collections, tmp_path):
    source = collections["mine"] / "annotations" / "instances_train.json"
    content = json.loads(source.read_text())

    def refused(folder, changed=None):
        if changed is not None:
            (folder / "annotations").mkdir(parents=True)
            path = folder / "annotations" / source.name
            path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
        with pytest.raises(SourceError) as error:
            open_all(folder, tmp_path / "cache")
        return str(error.value)

    assert "nowhere does not exist" in refused(tmp_path / "nowhere")
    assert "has one of these layouts:\n  COCO " in refused(collections["coco"] / "train2017")
    assert "'a.png', which is in none of train2017/" in refused(tmp_path / "bare", content)
    assert "is not valid JSON" in refused(tmp_path / "cut", '{"images": [{"id": 1, "file')
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "panoptic_train2017.json").write_text(json.dumps(content))
    assert "panoptic_train2017/ is missing: the PNG files" in refused(tmp_path / "maps")


def test_an_image_of_another_size_than_its_annotations_is_refused(collections, tmp_path):
    from PIL import Image

    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    source = collections["mine"]
    for image in (source / "images" / "train").iterdir():
        Image.open(image).resize((90, 60)).save(folder / "images" / image.name)
    text = (source / "annotations" / "instances_train.json").read_text()
    (folder / "annotations" / "instances_train.json").write_text(text)
    (each,) = open_all(folder, tmp_path / "cache")
    with pytest.raises(SourceError, match=r"a\.png has 90x60 pixels, but its annotations 100x60"):
        each.read(0)
