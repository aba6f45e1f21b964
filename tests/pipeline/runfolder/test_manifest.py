"""What a run folder is bound to: what changes results is refused by name, the rest may change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.config import config_sha256, load_config
from ipseg.errors import ConfigError, OutputError
from pipeline.job import Job, run_identity
from pipeline.runfolder.manifest import Manifest, differences
from pipeline.runfolder.open_run import open_run

TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
)


def identity(*settings, source="photos", **variants):
    every = variants or {"": settings}
    chosen = {label: load_config("classical", each) for label, each in every.items()}
    return run_identity(Job("run", chosen, None, None, identity={"source": source}))


def manifest(out, **more):
    return Manifest(str(out), identity(**more), {"profile": "classical"}, [{"run_id": "a"}])


def test_it_is_read_as_it_was_written(tmp_path):
    written = manifest(tmp_path)
    written.write()
    read = Manifest.read(str(tmp_path))
    assert read.about == {"schema_version": "4", "profile": "classical"}
    assert read.runs == [{"run_id": "a"}]
    read.check_same(written.identity)
    assert Manifest.read(str(tmp_path / "nowhere")) is None


def test_what_changes_results_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError) as refusal:
        manifest(tmp_path).check_same(
            identity("points.k=16", "features.sift=null", "support=mask", source="pages")
        )
    message = str(refusal.value)
    assert "\n  points.k: 32 -> 16\n" in message
    assert '\n  support.kind: "saliency" -> "mask"\n' in message
    assert '\n  source: "photos" -> "pages"\n' in message
    assert "features.sift" in message
    assert "--overwrite" in message


def test_batches_pools_and_places_may_change(tmp_path):
    other = (
        *("runtime.batch_size=9", "runtime.actors=3", "runtime.stages.segment.actors=2"),
        *("models.root=/weights", "models.device=cpu"),
    )
    manifest(tmp_path).check_same(identity(*other))


def test_variants_are_bound_under_their_labels_in_whatever_order(tmp_path):
    both = {"few": ["points.k=8"], "many": ["points.k=32"]}
    written = manifest(tmp_path, **both)
    written.check_same(identity(many=both["many"], few=both["few"]))
    with pytest.raises(ConfigError, match=r"variants\.few\.points\.k: 8 -> 9"):
        written.check_same(identity(few=["points.k=9"], many=both["many"]))


def test_weights_count_by_their_content_and_not_by_their_place(tmp_path):
    def bound(folder, content):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sam_vit_b_01ec64.pth").write_bytes(content)
        return identity(
            *(f"models.root={tmp_path}/{folder}", "segmenter.kind=segment_anything"),
            *("segmenter.weights=sam_vit_b_01ec64.pth", "refinement=null"),
        )

    here, there, other = bound("a", b"same"), bound("b", b"same"), bound("c", b"other")
    assert here == there
    assert config_sha256(here) != config_sha256(other)
    (line,) = differences(here, other)
    assert line.startswith("weights.sam_vit_b_01ec64.pth.sam_vit_b_01ec64.pth: ")
    assert str(tmp_path) not in json.dumps(here)


@given(TREES, TREES)
def test_there_is_no_difference_where_things_are_the_same(one, other):
    assert list(differences(one, json.loads(json.dumps(one)))) == []
    if one != other and not (isinstance(one, dict) and isinstance(other, dict)):
        assert list(differences(one, other))


def test_a_run_of_another_version_or_a_damaged_one_is_refused_in_one_line(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema_version": "2"}')
    with (
        pytest.raises(OutputError) as refusal,
        open_run(str(tmp_path), identity(), overwrite=False),
    ):
        pass
    assert str(refusal.value) == (
        f"{tmp_path} was written in version 2 of the run format, this ipseg has version 4: look "
        f"at it with the one that wrote it; to write there, --overwrite it"
    )
    with open_run(str(tmp_path), identity(), overwrite=True) as run:
        assert run.earlier is None
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(OutputError, match="is damaged"):
        Manifest.read(str(tmp_path))


def test_rows_without_a_manifest_are_no_ground_to_build_on(tmp_path):
    (tmp_path / "data/shard=a").mkdir(parents=True)
    (tmp_path / "data/shard=a" / "part-1.parquet").write_bytes(b"")
    with (
        pytest.raises(OutputError, match=r"rows but no manifest\.json"),
        open_run(str(tmp_path), identity(), overwrite=False),
    ):
        pass
