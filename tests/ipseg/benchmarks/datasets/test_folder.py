from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ipseg.benchmarks.benchmark import Sampling
from ipseg.benchmarks.datasets.folder import FolderBenchmark
from ipseg.benchmarks.episode import from_table, to_table
from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import ConfigError, SourceError
from ipseg.storage.addresses import fetch


def image(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)


def mask(path: Path, pixels: int):
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = np.zeros(48, np.uint8)
    flat[:pixels] = 255
    Image.fromarray(flat.reshape(6, 8)).save(path)


def collection(root: Path, sizes: dict[str, list[int]]) -> FolderBenchmark:
    """One image for each number of object pixels, named 0.jpg, 1.jpg, ..."""
    for name, pixels in sizes.items():
        for number, count in enumerate(pixels):
            image(root / "images" / name / f"{number}.jpg")
            mask(root / "masks" / name / f"{number}.png", count)
    return FolderBenchmark(str(root))


def keys(episodes):
    return [(e.query.key, *(s.key for s in e.supports)) for e in episodes]


@pytest.fixture
def benchmark(tmp_path):
    return collection(tmp_path, {"dog": [5, 9, 20, 3, 4, 6, 40], "cat": [1, 2]})


def test_the_first_image_of_a_class_is_the_support_and_the_others_are_queries(benchmark):
    benchmark.check()
    assert benchmark.classes("") == {0: "cat", 1: "dog"}
    episodes = benchmark.episodes("", Sampling())
    assert keys(episodes) == [
        ("images/cat/1.jpg", "images/cat/0.jpg"),
        *((f"images/dog/{i}.jpg", "images/dog/0.jpg") for i in range(1, 7)),
    ]
    assert [e.episode for e in episodes] == list(range(7))
    assert {e.seed for e in episodes} == {None}
    assert from_table(to_table(episodes)) == episodes
    assert read_ground_truth(episodes[0].query.ground_truth).mask.sum() == 2
    assert fetch(episodes[0].query.uri)[:2] == b"\xff\xd8"


def test_prompts_may_stay_among_the_queries(benchmark):
    episodes = benchmark.episodes("", Sampling(exclude_prompt=False))
    assert keys(episodes)[:2] == [
        ("images/cat/0.jpg", "images/cat/0.jpg"),
        ("images/cat/1.jpg", "images/cat/0.jpg"),
    ]
    assert len(episodes) == 9


def test_the_largest_object_is_taken_from_the_first_six_only(benchmark):
    episodes = benchmark.episodes("", Sampling(rule="largest-of-6"))
    prompts = {e.class_name: e.supports[0].key for e in episodes}
    assert prompts == {"cat": "images/cat/1.jpg", "dog": "images/dog/2.jpg"}


def test_more_shots_take_the_next_in_the_order_of_the_rule(tmp_path):
    benchmark = collection(tmp_path, {"dog": [5, 9, 20, 9]})
    for rule, prompts in {"first": ["0", "1", "2"], "largest-of-6": ["2", "1", "3"]}.items():
        (episode,) = benchmark.episodes("", Sampling(shot=3, rule=rule))
        assert [s.key for s in episode.supports] == [f"images/dog/{i}.jpg" for i in prompts]


def test_masks_are_read_only_if_a_rule_needs_them(tmp_path):
    benchmark = collection(tmp_path, {"dog": [1, 2]})
    (tmp_path / "masks" / "dog" / "0.png").write_bytes(b"not an image")
    assert len(benchmark.episodes("", Sampling())) == 1
    with pytest.raises(SourceError, match=r"masks/dog/0\.png cannot be used"):
        benchmark.episodes("", Sampling(rule="largest-of-6"))


def test_all_images_in_prompts_are_supports_and_all_others_queries(benchmark, tmp_path):
    for file in ("cat/x.jpg", "cat/y.png", "dog/z.webp"):
        image(tmp_path / "prompts" / file)
    mask(tmp_path / "prompts" / "cat" / "y.mask.png", 7)
    episodes = benchmark.episodes("", Sampling())
    assert len(episodes) == 9
    (x, y) = episodes[0].supports
    assert (x.key, x.ground_truth) == ("prompts/cat/x.jpg", "")
    assert y.key == "prompts/cat/y.png"
    assert read_ground_truth(y.ground_truth).mask.sum() == 7
    assert keys(benchmark.episodes("", Sampling(rule="first")))[0] == (
        *("images/cat/1.jpg", "images/cat/0.jpg"),
    )


def test_prompts_must_match_the_classes(benchmark, tmp_path):
    image(tmp_path / "prompts" / "cat" / "x.jpg")
    with pytest.raises(SourceError, match=r"prompts/dog has no image; .*name a rule"):
        benchmark.check()
    image(tmp_path / "prompts" / "cow" / "x.jpg")
    with pytest.raises(SourceError, match=r"prompts/cow is not a class; .* cat, dog"):
        FolderBenchmark(str(tmp_path)).check()


def test_a_draw_depends_on_the_seed_alone(benchmark):
    first, again = (
        benchmark.episodes("", Sampling(rule="random", seed=4, shot=2, exclude_prompt=False))
        for _ in range(2)
    )
    assert first == again
    assert {e.seed for e in first} == {4}
    draws = {
        keys(benchmark.episodes("", Sampling(rule="random", seed=s, exclude_prompt=False)))[-1]
        for s in range(8)
    }
    assert len(draws) > 1


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=3),
    rule=st.sampled_from(["", "first", "largest-of-6", "random"]),
    exclude=st.booleans(),
    data=st.data(),
)
def test_every_image_except_the_prompts_is_a_query_once(sizes, rule, exclude, data):
    shot = data.draw(st.integers(1, min(sizes) - 1))
    with TemporaryDirectory() as folder:
        classes = {f"c{i}": list(range(1, n + 1)) for i, n in enumerate(sizes)}
        benchmark = collection(Path(folder), classes)
        sampling = Sampling(shot, 3, rule, exclude)
        episodes = benchmark.episodes("", sampling)
        assert episodes == FolderBenchmark(folder).episodes("", sampling)
    assert len({e.query.key for e in episodes}) == len(episodes)
    assert len(episodes) == sum(n - shot * exclude for n in sizes)
    for e in episodes:
        keys = [s.key for s in e.supports]
        assert len(set(keys)) == e.shot == shot
        assert not exclude or e.query.key not in keys
        assert {key.split("/")[1] for key in [*keys, e.query.key]} == {e.class_name}


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(2, 6), min_size=1, max_size=3), exclude=st.booleans())
def test_all_pairs_are_all_ordered_pairs_of_a_class(sizes, exclude):
    with TemporaryDirectory() as folder:
        benchmark = collection(Path(folder), {f"c{i}": [1] * n for i, n in enumerate(sizes)})
        episodes = benchmark.episodes("", Sampling(rule="all-pairs", exclude_prompt=exclude))
    assert len(episodes) == len(set(keys(episodes)))
    assert len(episodes) == sum(n * (n - 1) if exclude else n * n for n in sizes)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"(?s)no images/, masks/ in .*ROOT/images/<class>"):
        FolderBenchmark(str(tmp_path)).check()
    benchmark = collection(tmp_path, {"dog": [1, 2]})
    (tmp_path / "masks" / "dog" / "1.png").unlink()
    with pytest.raises(SourceError, match=r"masks/dog/1\.png is missing: .*\(1 of 2 have none\)"):
        benchmark.check()
    (tmp_path / "images" / "bird").mkdir()
    with pytest.raises(SourceError, match=r"images/bird has no image"):
        FolderBenchmark(str(tmp_path)).check()


def test_impossible_draws_are_refused(benchmark):
    with pytest.raises(SourceError, match=r"no sampling rule 'last'; it has 'first', 'largest"):
        benchmark.episodes("", Sampling(rule="last"))
    with pytest.raises(ConfigError, match="shot must be 1, not 2"):
        benchmark.episodes("", Sampling(rule="all-pairs", shot=2))
    with pytest.raises(SourceError, match=r"images/cat has 2 image\(s\), too few for 3"):
        benchmark.episodes("", Sampling(shot=3))
    with pytest.raises(SourceError, match=r"'cat' has 2 image.* all of them are prompts"):
        benchmark.episodes("", Sampling(shot=2))


def test_the_root_can_be_a_url(tmp_path):
    collection(tmp_path, {"dog": [1, 2]})
    (episode,) = FolderBenchmark(f"file://{tmp_path}/").episodes("", Sampling())
    assert episode.query.uri == f"file://{tmp_path}/images/dog/1.jpg"
    assert read_ground_truth(episode.query.ground_truth).mask.sum() == 2


def test_masks_may_be_spelled_in_several_ways(tmp_path):
    for name in ("a.jpg", "b.c.JPG", "d.png", "e.jpg"):
        image(tmp_path / "images" / "dog" / name)
    for name in ("a.PNG", "b.c.png", "d.png.png", "e.jpg.png", "e.png"):
        mask(tmp_path / "masks" / "dog" / name, 3)
    episodes = FolderBenchmark(str(tmp_path)).episodes("", Sampling(exclude_prompt=False))
    files = [e.query.ground_truth.rpartition("/")[2] for e in episodes]
    assert files == [f"{name}#object" for name in ("a.PNG", "b.c.png", "d.png.png", "e.jpg.png")]


def test_a_mask_of_no_image_is_said_and_one_of_two_refused(benchmark, tmp_path, caplog):
    mask(tmp_path / "masks" / "cat" / "nobody.png", 3)
    benchmark.check()
    assert f"1 of 3 masks in {tmp_path}/masks/cat are of no image: nobody.png" in caplog.text
    image(tmp_path / "images" / "cat" / "0.png")
    with pytest.raises(SourceError, match=r"0.jpg and 0.png have the same mask"):
        FolderBenchmark(str(tmp_path)).check()


@pytest.mark.parametrize("layers", [3, 1])
def test_masks_cut_out_by_transparency(tmp_path, layers):
    benchmark = collection(tmp_path, {"dog": [5, 9]})
    alpha = np.zeros((6, 8), np.uint8)
    alpha[2:4, 1:7] = 255
    cut_out = Image.fromarray(np.dstack([np.full((6, 8), 255, np.uint8)] * layers + [alpha]))
    cut_out.save(tmp_path / "masks" / "dog" / "1.png")
    (episode,) = benchmark.episodes("", Sampling())
    assert read_ground_truth(episode.query.ground_truth).mask.sum() == 12


def test_a_mask_beside_a_prompt_has_its_suffix_in_any_case(benchmark, tmp_path):
    for name in ("cat", "dog"):
        image(tmp_path / "prompts" / name / "1.JPG")
        mask(tmp_path / "prompts" / name / "1.Mask.PNG", 7)
    assert [len(e.supports) for e in benchmark.episodes("", Sampling())] == [1] * 9
    (support,) = benchmark.episodes("", Sampling())[0].supports
    assert read_ground_truth(support.ground_truth).mask.sum() == 7
