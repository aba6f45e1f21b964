"""Only what changed is done again: added concepts, replaced images, images that are gone."""

import os
import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest
from torch.nn.modules.module import register_module_forward_hook

from ipseg.config import load_config
from ipseg.errors import ConfigError
from pipeline.runfolder.parts import read_rows
from pipeline.runfolder.survey import survey_run


@pytest.fixture(params=["local", "ray"])
def engine(request):
    if request.param == "ray":
        request.getfixturevalue("ray_session")
    return request.param


def by_concept(rows, concept):
    return {
        key: [each for each in row["objects"] if each["concept"] == concept]
        for key, row in rows.items()
    }


def test_an_added_concept_is_computed_alone(painted, engine):
    _, before = painted.segment("run", engine=engine)
    first = dict(survey_run(f"{painted.root}/run").counts)
    painted.prompt("a-green", colour="green")
    run, after = painted.segment("run", engine=engine)
    assert set(after) == set(before)
    for concept in ("red", "blue"):
        assert by_concept(after, concept) == by_concept(before, concept), "the bytes are the same"
    painted.segment("whole")
    whole = {row["key"]: row for row in read_rows(f"{painted.root}/whole")}
    found = by_concept(after, "a-green")
    assert any(found.values())
    for key, row in after.items():
        mine = [{**each, "category_id": 0} for each in row["objects"]]
        assert mine == [{**each, "category_id": 0} for each in whole[key]["objects"]]
    ids = {each["concept"]: each["category_id"] for r in after.values() for each in r["objects"]}
    assert ids == {"blue": 1, "red": 2, "a-green": 3}, "those of others stay"
    status = survey_run(run.out)
    assert (status.repeated, status.done, status.left) == (0, len(before), 0)
    assert sum(first.values()) == sum(status.counts.values())
    again, _ = painted.segment("run", engine=engine)
    assert again.metrics["rows_before"] == len(before), "nothing is left to do"


def test_an_added_concept_costs_one_pass_of_each_encoder_an_image(painted, tiny_root):
    for number in range(13):
        painted.image(f"more/{number}.png", ("red", number % 30, 4, 20, 20))
    quick = ("features.dinov2.size=112", "support.saliency.size=112")
    config = load_config("ipseg-light", [f"models.root={tiny_root}", "models.device=cpu", *quick])
    passes = Counter[str]()

    def count(network, inputs, _):
        if type(network).__name__ in ("Dinov2Model", "ImageEncoderViT"):
            (images, *_) = inputs or (None,)
            passes[type(network).__name__] += 1 if images is None else len(images)

    watching = register_module_forward_hook(count)
    try:
        _, before = painted.segment("run", config=config)
        first = dict(passes)
        painted.prompt("a-green", colour="green")
        _, after = painted.segment("run", config=config)
    finally:
        watching.remove()
    images, prompts = len(before), 2
    assert images == 18
    assert first == {"Dinov2Model": images + prompts, "ImageEncoderViT": images}
    again = {name: number - first[name] for name, number in passes.items()}
    assert again == {"Dinov2Model": images + 1, "ImageEncoderViT": images}
    assert by_concept(after, "red") == by_concept(before, "red")


def test_nothing_is_added_where_concepts_compete(painted, tiny_root):
    quick = ("canvas.side=112", f"models.root={tiny_root}", "models.device=cpu")
    config = load_config("sine-instances", quick)
    _, before = painted.segment("run", config=config)
    painted.prompt("a-green", colour="green")
    with pytest.raises(ConfigError, match="without the prompts of a-green: its method 'sine'"):
        painted.segment("run", config=config)
    apart = load_config("sine-instances", [*quick, "asking.concepts=apart"])
    (painted.root / "prompts/a-green.png").unlink()
    (painted.root / "prompts/a-green.mask.png").unlink()
    painted.segment("apart", config=apart)
    painted.prompt("a-green", colour="green")
    _, after = painted.segment("apart", config=apart)
    assert set(after) == set(before)
    assert any(by_concept(after, "a-green").values())


def test_other_changes_of_the_prompts_are_refused(painted):
    painted.segment("run")
    painted.prompt("red", colour="blue")
    with pytest.raises(ConfigError, match=r"prompts\.red\.red\.png"):
        painted.segment("run")
    painted.prompt("red")
    (painted.root / "prompts/blue.png").unlink()
    (painted.root / "prompts/blue.mask.png").unlink()
    with pytest.raises(ConfigError, match=r"prompts\.blue"):
        painted.segment("run")


def test_a_replaced_image_is_done_again_and_one_that_was_touched_is_not(painted, engine):
    _, before = painted.segment("run", engine=engine)
    keys = sorted(before)
    painted.image(keys[0], ("red", 20, 4, 12, 12))
    touched = painted.root / "images" / keys[1]
    os.utime(touched, (time.time() + 9, time.time() + 9))
    run, after = painted.segment("run", engine=engine)
    assert run.metrics["rows_before"] == len(before) - 1
    assert [each["bbox"] for each in after[keys[0]]["objects"]] == [[20, 4, 12, 12]]
    assert all(after[key]["objects"] == before[key]["objects"] for key in keys[1:])
    assert survey_run(run.out).repeated == 0


def test_contents_are_compared_where_that_is_asked_for(painted):
    _, before = painted.segment("run")
    key = sorted(before)[0]
    path = painted.root / "images" / key
    known = path.stat()
    data = path.read_bytes()
    painted.image(key, ("blue", 30, 20, 8, 8))
    assert path.read_bytes() != data
    path.write_bytes(path.read_bytes()[: len(data)].ljust(len(data), b"\0"))
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    run, _ = painted.segment("run")
    assert run.metrics["rows_before"] == len(before), "size and time are the same"
    run, after = painted.segment("run", check_content=True)
    assert run.metrics["rows_before"] == len(before) - 1
    assert after[key]["content_hash"] != before[key]["content_hash"]


def test_an_image_that_is_gone_is_counted_as_gone_until_it_is_back(painted, engine):
    first, before = painted.segment("run", engine=engine)
    key = sorted(before)[0]
    path = painted.root / "images" / key
    path.rename(painted.root / "elsewhere.png")
    run, after = painted.segment("run", engine=engine)
    assert run.counts["gone"] == 1
    assert run.metrics["rows_before"] == len(before) - 1
    assert sum(run.counts.values()) == len(before)
    status = survey_run(run.out)
    assert (status.counts["gone"], status.done, status.left) == (1, len(before) - 1, 0)
    assert set(after) == set(before) - {key}, "readers of rows do not see it"
    (painted.root / "elsewhere.png").rename(path)
    back, again = painted.segment("run", engine=engine)
    assert back.counts == first.counts
    assert again[key]["objects"] == before[key]["objects"]
    assert back.metrics["rows_before"] == len(before), "nothing had to be computed"


def test_a_container_that_is_gone_and_one_whose_images_were_replaced(painted, tmp_path):
    images = painted.root / "images"
    names = sorted(path.name for path in images.glob("*.png"))
    for tar, members in (("one", names[:2]), ("two", names[2:])):
        with tarfile.open(tmp_path / f"{tar}.tar", "w") as file:
            for name in members:
                file.add(images / name, name)
    for path in images.rglob("*.png"):
        path.unlink()
    for tar in ("one", "two"):
        (tmp_path / f"{tar}.tar").rename(images / f"{tar}.tar")
    first, before = painted.segment("run")
    with tarfile.open(images / "two.tar", "w") as file:
        painted.image("new.png", ("red", 8, 8, 9, 9))
        file.add(images / "new.png", names[2])
    (images / "new.png").unlink()
    (images / "one.tar").unlink()
    run, after = painted.segment("run")
    assert run.counts["gone"] == len(before) - 1
    (row,) = after.values()
    assert [each["concept"] for each in row["objects"]] == ["red"]
    assert Path(run.out).is_dir()
    assert sum(first.counts.values()) == sum(run.counts.values())
