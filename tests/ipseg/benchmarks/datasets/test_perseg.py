import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.perseg import PersegBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import ConfigError, SourceError


@pytest.fixture
def root(tmp_path):
    """Two objects; the name of one contains the name of the reference."""
    for name in ("backpack_00", "cat"):
        for number in range(3):
            image = tmp_path / "data" / "Images" / name / f"{number:02}.jpg"
            ground_truth = tmp_path / "data" / "Annotations" / name / f"{number:02}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            ground_truth.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6)).save(image)
            labels = np.zeros((6, 8), np.uint8)
            labels[0, : number + 1] = 1
            palette = Image.fromarray(labels).convert("P")
            palette.putpalette([0, 0, 0, 128, 0, 0])
            palette.save(ground_truth)
    return tmp_path


def keys(root, **sampling):
    episodes = PersegBenchmark(str(root)).episodes("", Sampling(**sampling))
    return [(e.query.key, *(s.key for s in e.supports)) for e in episodes]


def test_the_reference_is_left_out_by_the_name_of_its_file(root):
    benchmark = PersegBenchmark(str(root))
    benchmark.check()
    assert benchmark.classes("") == {0: "backpack_00", 1: "cat"}
    assert keys(root) == keys(root / "data")
    assert keys(root) == [
        (f"Images/{name}/0{i}.jpg", f"Images/{name}/00.jpg")
        for name in ("backpack_00", "cat")
        for i in (1, 2)
    ]
    (first, *_) = benchmark.episodes("", Sampling())
    assert read_ground_truth(first.query.ground_truth).mask.sum() == 2


def test_leaving_it_out_is_a_switch_and_shots_follow_by_name(root):
    assert len(keys(root, exclude_prompt=False)) == 6
    assert keys(root, shot=2)[0] == (
        *("Images/backpack_00/02.jpg", "Images/backpack_00/00.jpg", "Images/backpack_00/01.jpg"),
    )


def test_ipsegs_evaluation_includes_the_reference_and_reads_its_list(root):
    assert keys(root, rule="ipseg")[0] == ("Images/backpack_00/00.jpg",) * 2
    (root / "data" / "ref_composed.txt").write_text("cat 02\nbackpack_00 01\n")
    pairs = keys(root, rule="ipseg")
    assert len(pairs) == 6
    assert {prompts for _, prompts in pairs} == {"Images/cat/02.jpg", "Images/backpack_00/01.jpg"}
    protocols = [PersegBenchmark(str(root)).protocol_of(rule) for rule in ("", "ipseg")]
    assert [(p.formula, p.side, p.ground_truth_resize) for p in protocols] == [
        *(("P", None, "nearest"), ("B", 1024, "linear")),
    ]


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(ConfigError, match="shot must be 1"):
        keys(root, rule="ipseg", shot=2)
    with pytest.raises(SourceError, match=r"too few for shot 4"):
        keys(root, shot=4)
    (root / "data" / "Annotations" / "cat" / "02.png").unlink()
    with pytest.raises(SourceError, match=r"Annotations/cat/02\.png is missing"):
        keys(root)
    for folder in ("Images", "Annotations"):
        next((root / "data" / folder / "cat").glob("00.*")).unlink()
    (root / "data" / "Images" / "cat" / "02.jpg").unlink()
    with pytest.raises(SourceError, match=r"Images/cat has no image 00\.jpg"):
        PersegBenchmark(str(root)).check()
    (root / "data" / "Images").rename(root / "data" / "images")
    with pytest.raises(SourceError, match=r"(?s)no Images/ in .*/data \(.*, its data\).*-SAM"):
        PersegBenchmark(str(root)).check()
