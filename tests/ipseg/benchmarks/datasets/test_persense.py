import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.persense import PersenseBenchmark
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError


@pytest.fixture
def root(tmp_path):
    for name in ("Lemons", "Beads"):
        folder = tmp_path / "data" / "Images" / name
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 6)).save(folder / f"{number:02}.jpg")
            Image.new("RGB", (8, 6), (0, 0, 128)).save(folder / f"{number:02}.png")
    (tmp_path / "data" / "Images" / ".DS_Store").write_bytes(b"x")
    return tmp_path


def test_images_and_masks_are_in_one_folder_and_00_is_the_support(root):
    benchmark = PersenseBenchmark(str(root))
    benchmark.check()
    assert benchmark.classes("") == {0: "Beads", 1: "Lemons"}
    episodes = benchmark.episodes("", Sampling())
    assert [(e.query.key, e.supports[0].key) for e in episodes] == [
        (f"Images/{name}/0{i}.jpg", f"Images/{name}/00.jpg")
        for name in ("Beads", "Lemons")
        for i in (1, 2)
    ]
    assert read_ground_truth(episodes[0].supports[0].ground_truth).mask.all()


def test_what_is_missing_is_named(root):
    (root / "data" / "Images" / "Lemons" / "01.png").unlink()
    with pytest.raises(SourceError, match=r"Images/Lemons/01\.png is missing"):
        PersenseBenchmark(str(root)).check()
    with pytest.raises(SourceError, match="it has only its reference"):
        PersenseBenchmark(str(root)).episodes("", Sampling(rule="first"))
