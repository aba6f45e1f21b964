"""The common parts of the three splits, on a miniature VOC devkit."""

import fsspec
import numpy as np
import pytest
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.pascal_zero_shot import PascalVocBenchmark
from ipseg.benchmarks.episode import from_table, to_table
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import SourceError

# Value -> pixels of 48; the rest is background, the last pixel void.
SHOWN = {
    "2007_000001": {16: 4, 17: 1},
    "2007_000002": {16: 9, 18: 2},
    "2007_000003": {19: 3, 20: 3, 17: 8},
    "2007_000004": {20: 1, 18: 7, 5: 9},
    "2007_000005": {19: 9},
    "2007_000006": {},
}


@pytest.fixture
def kit(tmp_path):
    kit = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (kit / folder).mkdir(parents=True)
    for name, values in SHOWN.items():
        flat = np.zeros(48, np.uint8)
        used = 0
        for value, pixels in values.items():
            flat[used : used + pixels] = value
            used += pixels
        flat[-1] = 255
        labels = Image.fromarray(flat.reshape(6, 8)).convert("P")
        labels.putpalette([255 - value for value in range(256) for _ in range(3)])
        labels.save(kit / "SegmentationClass" / f"{name}.png")
        Image.new("RGB", (8, 6)).save(kit / "JPEGImages" / f"{name}.jpg")
    names = "".join(f"{name}\n" for name in reversed(SHOWN))
    (kit / "ImageSets" / "Segmentation" / "val.txt").write_text(names)
    return kit


def numbers(episodes):
    return [(e.class_id, int(e.query.key[-5]), int(e.supports[0].key[-5])) for e in episodes]


def test_the_largest_object_is_the_support_and_images_with_the_class_are_queries(kit):
    benchmark = PascalVocBenchmark(str(kit.parents[1]))
    benchmark.check()
    episodes = benchmark.episodes("val", Sampling(exclude_prompt=False))
    assert numbers(episodes) == [
        *((16, 1, 2), (16, 2, 2), (17, 1, 3), (17, 3, 3), (18, 2, 4), (18, 4, 4)),
        *((19, 3, 5), (19, 5, 5), (20, 3, 3), (20, 4, 3)),
    ]
    assert episodes[0].query.key == "JPEGImages/2007_000001.jpg"
    ground_truth = read_ground_truth(episodes[0].query.ground_truth)
    assert (ground_truth.mask.sum(), ground_truth.ignore.sum()) == (4, 1)
    assert from_table(to_table(episodes)) == episodes
    assert PascalVocBenchmark(str(kit)).episodes("val", Sampling(exclude_prompt=False))[0].query


def test_no_prompt_is_a_query_of_any_class(kit):
    episodes = PascalVocBenchmark(str(kit)).episodes("val", Sampling())
    assert numbers(episodes) == [(16, 1, 2), (17, 1, 3)]  # 2, 3, 4 and 5 are prompts


def test_with_multiclass_every_image_is_a_query_of_every_class(kit):
    benchmark = PascalVocBenchmark(str(kit))
    episodes = benchmark.episodes("val", Sampling(rule="multiclass"))
    assert [(c, q) for c, q, _ in numbers(episodes)] == [
        (class_id, image) for image in (1, 6) for class_id in range(16, 21)
    ]
    assert read_ground_truth(episodes[-1].query.ground_truth).mask.sum() == 0
    everything = benchmark.episodes("val", Sampling(rule="multiclass", exclude_prompt=False))
    assert len(everything) == 6 * 5
    binary, multiclass = (benchmark.protocol_of(rule) for rule in ("", "multiclass"))
    assert (binary.formula, binary.assign) == ("B", "binary")
    assert (multiclass.formula, multiclass.assign) == ("A", "argmax")


def test_more_shots_take_the_next_largest(kit):
    episodes = PascalVocBenchmark(str(kit)).episodes("val", Sampling(shot=2, exclude_prompt=False))
    prompts = {e.class_id: [int(s.key[-5]) for s in e.supports] for e in episodes}
    assert prompts == {16: [2, 1], 17: [3, 1], 18: [4, 2], 19: [5, 3], 20: [3, 4]}
    with pytest.raises(SourceError, match=r"2 prompt\(s\) for 'pottedplant', too few for shot 3"):
        PascalVocBenchmark(str(kit)).episodes("val", Sampling(shot=3))


def test_the_index_is_kept_in_the_root_or_in_the_cache(kit, tmp_path):
    seen = []
    cached = PascalVocBenchmark(
        str(kit), cache=f"{tmp_path}/cache/", progress=lambda done, of: seen.append(of)
    )
    episodes = cached.episodes("val", Sampling())
    assert seen == [6] * 6
    assert not (kit / "ipseg_index.parquet").exists()
    assert (tmp_path / "cache" / "pascal-voc" / "ipseg_index.parquet").exists()
    assert PascalVocBenchmark(str(kit)).episodes("val", Sampling()) == episodes
    assert (kit / "ipseg_index.parquet").exists()


def test_a_url_gives_the_same_episodes_and_saves_its_index_there(kit):
    memory = fsspec.filesystem("memory")
    memory.put(str(kit), "/zero-shot-kit", recursive=True)
    try:
        benchmark = PascalVocBenchmark("memory://zero-shot-kit")
        benchmark.check()
        episodes = benchmark.episodes("val", Sampling())
        assert memory.exists("/zero-shot-kit/ipseg_index.parquet")
        assert read_ground_truth(episodes[0].query.ground_truth).mask.sum() == 4
    finally:
        memory.rm("/zero-shot-kit", recursive=True)
    local = PascalVocBenchmark(str(kit)).episodes("val", Sampling())
    assert numbers(episodes) == numbers(local)
    assert [e.query.key for e in episodes] == [e.query.key for e in local]


def test_a_prompt_list_replaces_the_rule(kit):
    Image.new("RGB", (8, 6)).save(kit / "my sofa.png")
    lines = [f"{name} JPEGImages/2007_000001.jpg" for name in ("pottedplant", "sheep", "train")]
    (kit / "prompts.txt").write_text("\n".join([*lines, "tvmonitor JPEGImages/2007_000003.jpg"]))
    benchmark = PascalVocBenchmark(str(kit))
    with pytest.raises(SourceError, match=r"0 prompt\(s\) for 'sofa'"):
        benchmark.episodes("val", Sampling())
    with (kit / "prompts.txt").open("a") as file:
        file.write("\nsofa my sofa.png\nsofa JPEGImages/2007_000002.jpg\n")
    episodes = benchmark.episodes("val", Sampling())
    prompts = {e.class_name: e.supports[0] for e in episodes}
    assert (prompts["sofa"].key, prompts["sofa"].ground_truth) == ("my sofa.png", "")
    assert read_ground_truth(prompts["tvmonitor"].ground_truth).mask.sum() == 3
    assert {int(e.query.key[-5]) for e in episodes} == {2, 4, 5}


def test_prompts_listed_for_multiclass_need_no_index(kit):
    lines = [f"{name} JPEGImages/2007_000001.jpg" for name in PascalVocBenchmark.unseen.values()]
    (kit / "prompts.txt").write_text("\n".join(lines))
    assert PascalVocBenchmark(str(kit)).episodes("val", Sampling(rule="multiclass"))
    assert not (kit / "ipseg_index.parquet").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cow JPEGImages/2007_000001.jpg", "has a line 'cow JPEG.* a class of pottedplant, sheep"),
        ("sofa", "has a line 'sofa'"),
        ("sofa JPEGImages/none.jpg", r"names .*/JPEGImages/none\.jpg, which does not exist"),
        ("sofa ../../secret.jpg", "must be below the data root"),
    ],
)
def test_an_invalid_prompt_list_is_refused(kit, line, message):
    (kit / "prompts.txt").write_text(line)
    with pytest.raises(SourceError, match=message):
        PascalVocBenchmark(str(kit)).episodes("val", Sampling())


def test_what_is_missing_is_named(kit):
    with pytest.raises(SourceError, match="no sampling rule 'binary'; it has 'multiclass'"):
        PascalVocBenchmark(str(kit)).episodes("val", Sampling(rule="binary"))
    (kit / "JPEGImages" / "2007_000001.jpg").unlink()
    with pytest.raises(SourceError, match=r"JPEGImages/2007_000001\.jpg is missing"):
        PascalVocBenchmark(str(kit.parents[1])).check()
    (kit / "SegmentationClass" / "2007_000006.png").unlink()
    with pytest.raises(SourceError, match=r"label map .*2007_000006\.png is missing"):
        PascalVocBenchmark(str(kit)).episodes("val", Sampling())
    (kit / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(SourceError, match=r"(?s)no ImageSets/Segmentation/val\.txt in .*Get VOC"):
        PascalVocBenchmark(str(kit.parents[1])).check()


def test_a_smoothed_label_map_is_refused_although_its_values_are_classes(kit):
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 10:50] = 20
    smooth = Image.fromarray(labels).resize((333, 250), Image.Resampling.BICUBIC)
    clipped = Image.fromarray(np.minimum(np.asarray(smooth), 20))
    clipped.save(kit / "SegmentationClass" / "2007_000001.png")
    with pytest.raises(SourceError, match=r"cannot be a label map: .* occur along outlines only"):
        PascalVocBenchmark(str(kit.parents[1])).check()
