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
    with pytest.raises(SourceError, match="it has 'released'"):
        PersenseBenchmark(str(root)).episodes("", Sampling(rule="first"))


def test_as_released_files_are_counted_and_paths_searched(root):
    images = root / "data" / "Images"
    (images / "Beads").rename(images / "1001")
    for name in ("00.jpg", "00.png"):
        (images / "Lemons" / name).with_name(name.replace("00", "100")).write_bytes(
            (images / "Lemons" / name).read_bytes()
        )
    benchmark = PersenseBenchmark(str(root))
    usual = [e.query.key for e in benchmark.episodes("", Sampling())]
    assert [key.split("/", 1)[1] for key in usual] == [
        *("1001/01.jpg", "1001/02.jpg"),
        *("Lemons/01.jpg", "Lemons/02.jpg", "Lemons/100.jpg"),
    ]
    released = benchmark.episodes("", Sampling(rule="released"))
    # Of 8 files three images are run, of which one is the reference.
    assert [e.query.key for e in released] == ["Images/Lemons/01.jpg", "Images/Lemons/02.jpg"]
    (images / "Lemons" / "100.png").unlink()
    (images / "Lemons" / "100.jpg").unlink()
    fewer = PersenseBenchmark(str(root)).episodes("", Sampling(rule="released"))
    assert [e.query.key for e in fewer] == ["Images/Lemons/01.jpg"], "the last one is lost"
    assert benchmark.protocol_of("released").pairing == "order"
