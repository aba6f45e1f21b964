"""An export as a whole: what is in it, what stays when it is made again, what is refused."""

import json
import shutil

import pyarrow as pa
import pytest
from PIL import Image

from ipseg.errors import ConfigError, OutputError
from ipseg.storage.tables import read_table, write_table
from pipeline.export.export import preview
from pipeline.export.formats.registry import FORMATS
from pipeline.export.request import Request
from pipeline.export.splits import Splits
from pipeline.labels.decisions import Decision, Session, mask_hash
from pipeline.labels.selection import select
from pipeline.runfolder.parts import part_files

HALVES = "train=0.5,val=0.5"


def annotations(folder, side="train"):
    return json.loads((folder / f"annotations/instances_{side}.json").read_text())


def numbers(folder):
    """File name -> number; (file name, concept, score) -> number, of both sides."""
    images, objects = {}, {}
    for side in ("train", "val"):
        content = annotations(folder, side)
        names = {each["id"]: each["file_name"] for each in content["images"]}
        concepts = {each["id"]: each["name"] for each in content["categories"]}
        images |= {name: number for number, name in names.items()}
        for each in content["annotations"]:
            what = (names[each["image_id"]], concepts[each["category_id"]], each["score"])
            objects[what] = each["id"]
    return images, objects


@pytest.mark.parametrize("kind", FORMATS)
def test_made_again_not_a_byte_changes(world, files_of, kind):
    first, folder = world.export(kind, split=HALVES)
    before = files_of(folder)
    second, _ = world.export(kind, split=HALVES)
    assert files_of(folder) == before
    world.export(kind, "elsewhere", split=HALVES)
    assert files_of(world.root / "elsewhere") == before, "nor by its place"
    assert first.tally.record() == second.tally.record()
    assert {"export.json", "README.md", "ids.parquet"} <= set(before)


@pytest.mark.parametrize("kind", FORMATS)
def test_failed_rows_are_in_no_side_and_empty_ones_are(world, kind):
    done, folder = world.export(kind, split=HALVES)
    assert (done.tally.images, done.tally.failed, done.tally.left_out) == (6, 1, 0)
    assert sum(side.empty for side in done.tally.sides.values()) == 1
    assert not list(folder.rglob("*broken*"))


def test_numbers_stay_when_images_come_and_labels_go(world):
    world.export("coco", split=HALVES)
    images, objects = numbers(world.root / "coco")
    shutil.copy(world.images / "pair.png", world.images / "new.png")
    shutil.copy(world.images / "pair.png", world.images / "a.png")
    shutil.rmtree(f"{world.out}/data")
    more = {"a.png": [("disc", "bowl", 0.99)], "new.png": [("ring", "cup", 0.3)]}
    kept = {key: found for key, found in world.labels.items() if key != "a disc.png"}
    world.write({**kept, **more}, concepts=("bowl", "cup", "ümlaut <b>"))
    world.export("coco", split=HALVES)
    later_images, later_objects = numbers(world.root / "coco")
    assert {n: later_images[n] for n in images if n in later_images} == {
        name: number for name, number in images.items() if name != "a disc.png"
    }
    assert sorted(later_images[name] for name in ("a.png", "new.png")) == [7, 8]
    for what, number in objects.items():
        assert later_objects.get(what, number) == number
    assert min(later_objects[w] for w in later_objects if w not in objects) == 8
    categories = annotations(world.root / "coco")["categories"]
    assert [each["name"] for each in categories] == ["cup", "ümlaut <b>", "bowl"]


def test_decisions_of_a_review_hold_also_after_images_were_added(world):
    found = {key: world.row(key, objects)["objects"] for key, objects in world.labels.items()}

    def decision(key, verb, number=0, **more):
        each = found[key][number]
        place = (key, verb, each.concept, each.instance, mask_hash(each.segmentation))
        return Decision(*place, **more)

    Session(world.out, "me").add(
        [
            decision("a disc.png", "reject"),
            decision("turned.jpg", "reject"),
            decision("pair.png", "relabel", 0, relabel="ümlaut <b>"),
        ]
    )

    def labels():
        done, folder = world.export("coco")
        content = annotations(folder)
        names = {each["id"]: each["file_name"] for each in content["images"]}
        concepts = {each["id"]: each["name"] for each in content["categories"]}
        listed = [
            (names[a["image_id"]], concepts[a["category_id"]], a["id"])
            for a in content["annotations"]
        ]
        assert len({number for *_, number in listed}) == len(listed)
        return done, sorted(listed)

    done, first = labels()
    assert {name for name, *_ in first} == {"v1.0/ring.v2.jpg", "deep/er/käse.png", "pair.png"}
    assert [concept for name, concept, _ in first if name == "pair.png"] == ["ümlaut <b>"] * 2
    assert done.tally.reviewed == 3
    shutil.copy(world.images / "pair.png", world.images / "new.png")
    world.write({**world.labels, "new.png": [("ring", "cup", 0.3)]})
    _, second = labels()
    assert [each for each in second if each[0] != "new.png"] == first
    done, _ = world.export("coco", chosen={"reviewed": "only"})
    assert done.tally.objects == 1, "the relabelled one"


def test_what_is_not_ours_is_left_alone(world):
    folder = world.root / "coco"
    folder.mkdir()
    (folder / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match="is not empty"):
        world.export("coco")
    (folder / "mine.txt").unlink()
    world.export("coco")
    (folder / "mine.txt").write_text("precious")
    (folder / "images/train/stale.png").write_text("of an earlier run")
    world.export("coco")
    assert (folder / "mine.txt").exists()
    assert not (folder / "images/train/stale.png").exists()
    with pytest.raises(OutputError, match="holds an export of format coco"):
        world.export("yolo-seg", "coco")
    for inside in ("run", "run/labels"):
        with pytest.raises(OutputError, match="is in the run folder"):
            world.export("coco", inside)


def test_the_export_of_another_run_is_replaced_aloud(world):
    world.export("coco")
    done, folder = world.export("coco")
    assert not done.other_run
    said = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps(said | {"run": "another"}))
    done, _ = world.export("coco")
    assert "export of another run was replaced" in done.warnings()[0]


def test_images_can_be_linked_and_those_that_cannot_are_copied(world):
    done, folder = world.export("coco", handling="link")
    images = [path for path in (folder / "images").rglob("*") if path.is_file()]
    linked = [path for path in images if path.stat().st_nlink > 1]
    assert len(images) == 6
    assert {path.name for path in images} - {path.name for path in linked} == {"turned.jpg"}
    assert done.tally.encoded_again == 1


def test_images_that_are_referred_to_are_named_by_their_keys(world):
    done, folder = world.export("coco", handling="refer")
    assert not (folder / "images").exists()
    names = {each["file_name"] for each in annotations(folder)["images"]}
    assert names == set(world.labels) - {"turned.jpg"}
    assert done.tally.left_out == 1
    assert "stored turned" in done.tally.examples[0]
    with pytest.raises(ConfigError, match="holds the images"):
        world.export("webdataset", handling="refer")


def test_an_image_that_was_replaced_or_lost_is_left_out_and_said(world, said):
    Image.new("RGB", (50, 50)).save(world.images / "pair.png")
    (world.images / "empty.png").unlink()
    done, folder = world.export("coco")
    assert done.tally.left_out == 2
    assert len(annotations(folder)["images"]) == 4
    assert "its labels are for 128x96" in str(said(folder)["counts"]["examples"])


def test_selections_and_warnings(world):
    done, _ = world.export("coco", split=HALVES, chosen={"min_score": 0.85})
    assert done.tally.objects == 2
    assert any("has no object of" in line for line in done.tally.warnings(done.concepts))
    done, _ = world.export("coco", "exclusive", chosen={"exclusive": True})
    assert done.tally.objects == 7
    done, _ = world.export("coco", "area", chosen={"min_area": 2})
    assert done.tally.objects == 6


def test_a_preview_counts_the_same_and_writes_nothing(world, files_of):
    before = files_of(world.root)
    request = Request(world.out, "coco", select(world.out), Splits.parse(HALVES))
    seen = preview(request)
    assert files_of(world.root) == before
    done, _ = world.export("coco", split=HALVES)
    known = done.tally.record() | {"encoded_again": 0}
    assert seen.tally.record() == known


def test_the_card_says_what_it_is(world):
    world.write(world.labels, random_weights=["sam.pth"])
    _, folder = world.export("yolo-seg", split=HALVES)
    card = (folder / "README.md").read_text()
    for words in ("RANDOM WEIGHTS", "ümlaut &lt;b&gt;", "1 row of the run failed", "salt ipseg"):
        assert words in card, words
    assert "<b>" not in card


def test_a_column_of_the_source_can_name_the_sides(world):
    by_column = Splits.parse(None, column="split")
    with pytest.raises(ConfigError, match=r"no column 'split'.*--carry split"):
        world.export("coco", split=by_column)
    for part in part_files(world.out):
        table = read_table(part, "")
        sides = ["test" if key == "pair.png" else "train" for key in table["key"].to_pylist()]
        write_table(part, table.append_column("split", pa.array(sides)))
    done, folder = world.export("coco", split=by_column)
    assert {name: side.images for name, side in done.tally.sides.items()} == {"train": 5, "test": 1}
    (image,) = annotations(folder, "test")["images"]
    assert image["file_name"] == "pair.png"


def test_evaluations_and_comparisons_are_refused(world):
    path = world.root / "run/manifest.json"
    manifest = json.loads(path.read_text())
    for name, message in (("episodes", "is an evaluation"), ("variants", "compares settings")):
        path.write_text(json.dumps({**manifest, "identity": {name: 1}}))
        with pytest.raises(OutputError, match=message):
            world.export("coco")
    assert not (world.root / "coco").exists()
