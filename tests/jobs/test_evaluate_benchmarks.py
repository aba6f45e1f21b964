"""Every benchmark in miniature through the command: its number is what a person would count."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco

from ipseg.components import BENCHMARKS

SMALL = str(Path(__file__).parents[1] / "small.yaml")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pyco.*")


@dataclass(frozen=True)
class Case:
    """A benchmark in miniature: words for the command, formula that stands first, episodes."""

    words: tuple[str, ...]
    formula: str
    episodes: int


CASES = {
    "folder": Case((), "B", 4),
    "crowds": Case((), "F1", 2),
    "ipseg-layout": Case((), "B", 2),
    "perseg": Case((), "P", 4),
    "persense-d": Case((), "A", 2),
    "fss-1000": Case(("--limit", "2"), "A", 2),
    "coco-20i": Case(("--fold", "0", "--fold", "2", "--limit", "1"), "A", 2),
    "pascal-5i": Case(("--fold", "0", "--fold", "1", "--limit", "1"), "A", 2),
    "lvis-92i": Case(("--fold", "0", "--fold", "3", "--limit", "1"), "A", 2),
    "paco-part": Case(("--fold", "0", "--limit", "2"), "A", 2),
    "pascal-part": Case(("--fold", "animals", "--limit", "1"), "A", 1),
    "davis-2017": Case((), "JF", 4),
    "davis-2016": Case((), "JF", 2),
    "youtube-vos": Case((), "G", 5),
    "coco-stuff": Case(("--limit", "3"), "B", 3),
    "pascal-voc": Case(("--prompt-rule", "multiclass"), "A", 5),
    "pascal-context": Case((), "B", 4),
}


@dataclass(frozen=True)
class Done:
    """A finished run."""

    name: str
    root: Path
    out: Path

    @property
    def summary(self):
        return json.loads((self.out / "summary.json").read_text())

    @property
    def results(self):
        return pq.read_table(self.out / "results.parquet").to_pylist()

    @property
    def value(self):
        return self.summary["variants"][0]["numbers"][self.summary["formula"]]["value"]

    def masks(self) -> dict[int, np.ndarray]:
        """Episode -> what was written for it, read with nothing of ours."""
        found = {}
        for part in self.out.glob("data/shard=*/part-*.parquet"):
            for row in pq.read_table(part, partitioning=None).to_pylist():
                by_concept = {o["concept"]: o["segmentation"] for o in row["objects"]}
                for metric in row["metrics"]:
                    assert metric["episode"] not in found
                    mask = np.zeros((row["height"], row["width"]), bool)
                    if metric["concept"] in by_concept:
                        mask = coco.decode(by_concept[metric["concept"]]).astype(bool)
                    found[metric["episode"]] = mask
        return found

    def episodes(self):
        return pq.read_table(self.out / "episodes.parquet").to_pylist()


@pytest.fixture(scope="module")
def ran(tmp_path_factory, miniatures, command):
    """Runs a miniature once, however many tests look at it."""
    known: dict[tuple[str, ...], Done] = {}

    def run(name: str, *more: str) -> Done:
        if (name, *more) not in known:
            case = CASES[name]
            root, out = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("out")
            miniatures[name](root)
            words = ["evaluate", name, "--data-root", str(root), "--out", str(out)]
            words += ["--profile", SMALL, "--engine", "local", *case.words, *more]
            assert command(*words) == 0
            known[name, *more] = Done(name, root, out)
        return known[name, *more]

    return run


def test_there_is_a_miniature_of_every_benchmark(miniatures):
    assert CASES.keys() == BENCHMARKS.keys() == miniatures.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_benchmark_runs_to_its_number(ran, name):
    done, case = ran(name), CASES[name]
    assert done.summary["benchmark"] == name
    assert done.summary["formula"] == case.formula
    assert done.summary["partial"] is False
    assert len(done.results) == case.episodes == len(done.episodes())
    assert {result["status"] for result in done.results} == {"ok"}
    assert 0 <= done.value <= 1
    assert (done.out / "report.html").exists()
    assert all(result["ground_truth"] > 0 for result in done.results), (
        "a miniature shows its classes"
    )


def test_no_image_is_read_twice(ran):
    done = ran("davis-2017")
    stages = json.loads((done.out / "evaluation.json").read_text())["stages"]
    rows = {stage["stage"]: stage["rows"] for stage in stages}
    assert rows["match"] == rows["segment"] == 2, "two frames, each with two objects"
    assert len(done.results) == 4


def grey(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return (found & truth).sum() / max(1, (found | truth).sum())


def test_formula_b_is_the_mean_over_images(ran):
    done = ran("folder")
    masks = done.masks()
    values = []
    for episode in done.episodes():
        name = Path(episode["query"]["key"].replace("images", "masks", 1)).with_suffix(".png")
        values.append(iou(masks[episode["episode"]], grey(done.root / name) > 0))
    assert done.value == pytest.approx(np.mean(values), abs=1e-12)
    assert done.value > 0.3, "boxes of one colour are found"


def test_instances_are_counted_one_by_one(ran):
    done = ran("crowds")
    numbers = done.summary["variants"][0]["numbers"]
    assert list(numbers) == ["F1", "N", "AP", "AP50", "A", "B"]
    found, matched = (
        np.array([r[f"instances_{name}"] for r in done.results]) for name in ("found", "matched")
    )
    assert [result["instances"] for result in done.results] == [2, 2]
    assert done.value == pytest.approx(2 * matched.sum() / (found.sum() + 4))
    assert numbers["N"]["value"] == pytest.approx(np.mean(np.abs(found - 2) / 2))
    scores = [len(result["instance_scores"]) for result in done.results]
    assert all(s >= f for s, f in zip(scores, found, strict=True))


def test_formula_p_is_the_mean_over_objects_of_sums(ran):
    done = ran("perseg")
    masks = done.masks()
    sums = {"cup": np.zeros(2), "hat": np.zeros(2)}
    for episode in done.episodes():
        name = Path(episode["query"]["key"].replace("Images", "Annotations", 1)).with_suffix(".png")
        found, truth = masks[episode["episode"]], grey(done.root / "data" / name) > 0
        sums[episode["class_name"]] += [(found & truth).sum(), (found | truth).sum()]
    expected = np.mean([inside / (union + 1e-10) for inside, union in sums.values()])
    assert done.value == pytest.approx(expected, abs=1e-12)


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, below, or below to the right."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])


def near(line: np.ndarray, radius: int) -> np.ndarray:
    """Pixels not farther than the radius from a line."""
    rows, columns = np.nonzero(line)
    y, x = np.mgrid[: line.shape[0], : line.shape[1]]
    reach = np.zeros(line.shape, bool)
    for row, column in zip(rows, columns, strict=True):
        reach |= (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return reach


def outlines_agree(found: np.ndarray, truth: np.ndarray) -> float:
    radius = int(np.ceil(0.008 * np.hypot(*found.shape)))
    one, other = outline(found), outline(truth)
    if not one.any() or not other.any():
        return float(one.any() == other.any())
    precision = (one & near(other, radius)).sum() / one.sum()
    recall = (other & near(one, radius)).sum() / other.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_j_and_f_are_means_over_objects_of_means_over_frames(ran):
    done = ran("davis-2017")
    masks = done.masks()
    regions, lines = {}, {}
    for episode in done.episodes():
        index = int(episode["class_name"].partition("/")[2])
        file = Path(episode["query"]["key"]).with_suffix(".png").name
        truth = grey(done.root / "DAVIS/2017/Annotations/480p/run" / file) == index
        found = masks[episode["episode"]]
        regions.setdefault(index, []).append(iou(found, truth))
        lines.setdefault(index, []).append(outlines_agree(found, truth))
    j, f = (np.mean([np.mean(v) for v in by.values()]) for by in (regions, lines))
    (variant,) = done.summary["variants"]
    numbers = {name: number["value"] for name, number in variant["numbers"].items()}
    assert numbers == pytest.approx({"JF": (j + f) / 2, "J": j, "F": f}, abs=1e-9)


def test_with_argmax_each_pixel_goes_to_the_class_with_the_highest_score(ran):
    done = ran("pascal-voc")
    assert done.summary["protocol"]["assign"] == "argmax"
    masks, scores = done.masks(), {r["episode"]: r["score"] for r in done.results}
    entries = {}
    for part in done.out.glob("data/shard=*/part-*.parquet"):
        for row in pq.read_table(part, partitioning=None).to_pylist():
            entries |= {m["episode"]: m["concept"] for m in row["metrics"]}
    (key,) = {episode["query"]["key"] for episode in done.episodes()}
    labels = grey(done.root / "SegmentationClass" / Path(key).with_suffix(".png").name)
    order = sorted(masks, key=lambda e: (-scores[e], entries[e]))
    owner = np.full(labels.shape, -1)
    for episode in reversed(order):
        owner[masks[episode]] = episode
    values = []
    for result in done.results:
        found, truth = owner == result["episode"], labels == result["class_id"]
        counted = (found & truth).sum(), (found | truth).sum(), found.sum()
        assert counted == (result["intersection"], result["union"], result["predicted"])
        values.append(counted[0] / max(1, counted[1]))
    assert done.value == pytest.approx(np.mean(values), abs=1e-12)
    assert sum(masks[e].sum() for e in masks) > sum(r["predicted"] for r in done.results), (
        "masks that are written as they are found do overlap"
    )


def test_records_of_no_use_are_counted_wherever_numbers_are_printed(
    tmp_path, miniatures, command, capfd
):
    miniatures["lvis-92i"](tmp_path)
    (tmp_path / "LVIS/lvis_val.pkl").unlink()
    names = [f"val2017/{n:012}.jpg" for n in range(2)]
    square = [8.0, 10.0, 29.0, 10.0, 29.0, 31.0, 8.0, 31.0]
    content = {
        "images": [
            {"id": n, "file_name": name, "height": 48, "width": 64} for n, name in enumerate(names)
        ],
        "categories": [{"id": c, "name": f"thing {c}"} for c in range(10)],
        "annotations": [
            {"id": 10 * n + c, "image_id": n, "category_id": c, "segmentation": [square]}
            for n in range(2)
            for c in range(10)
        ],
    }
    file = tmp_path / "LVIS/lvis_v1_val.json"
    file.write_text(json.dumps(content))
    words = ["evaluate", "lvis-92i", "--data-root", tmp_path, "--profile", SMALL]
    words += ["--engine", "local", "--fold", "0", "--limit", "2"]
    assert command(*words, "--out", tmp_path / "whole") == 0
    assert "left out" not in capfd.readouterr().out

    content["annotations"][0]["segmentation"].append([1.0, 1.0, 5.0, float("nan"), 9.0, 9.0])
    content["annotations"].append(content["annotations"][3] | {"id": 77, "image_id": 5})
    file.write_text(json.dumps(content))
    lines = [
        "left out: 1 × polygon with a corner that is no number, or far outside of any image "
        f"({file}: annotation 0: a polygon with a corner that is no number, or far outside of any "
        "image)",
        "left out: 1 × annotation of an image that is not listed "
        f"({file}: annotation 77: no image 5 in the file)",
    ]
    for out in ("from the file", "from the table"):
        capfd.readouterr()
        assert command(*words, "--out", tmp_path / out) == 0
        assert [e for e in capfd.readouterr().out.splitlines() if "left out" in e] == lines
        page = (tmp_path / out / "report.html").read_text()
        assert all(line in page for line in lines)
        found, expected = (
            json.loads((tmp_path / name / "summary.json").read_text()) for name in (out, "whole")
        )
        assert [each["count"] for each in found.pop("dropped")] == [1, 1]
        assert expected.pop("dropped") == []
        assert found == expected
    prepare = ["data", "prepare", "lvis-92i", "--data-root", tmp_path]
    assert command(*prepare) == 0
    assert all(line in capfd.readouterr().out.splitlines() for line in lines[:1])
    for strict in ([*words, "--out", tmp_path / "strict"], prepare):
        assert command(*strict, "--strict") == 1
        assert "lvis_v1_val.json: annotation 0: a polygon" in capfd.readouterr().err
