import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.config import load_config
from ipseg.errors import ConfigError, OutputError
from pipeline.runfolder.identity import config_sha256, run_identity
from pipeline.runfolder.manifest import Manifest, differences

TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
)


def manifest(out, *settings):
    identity = run_identity(load_config("classical", settings), {}, source="photos")
    return Manifest(str(out), identity, {"profile": "classical"}, [{"run_id": "a"}])


def test_it_is_read_as_it_was_written(tmp_path):
    written = manifest(tmp_path)
    written.write()
    read = Manifest.read(str(tmp_path))
    assert read.about == {"schema_version": "2", "profile": "classical"}
    assert read.runs == [{"run_id": "a"}]
    read.check_same(written.identity)
    assert Manifest.read(str(tmp_path / "nowhere")) is None


def test_what_changes_results_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError) as refusal:
        manifest(tmp_path).check_same(
            run_identity(
                load_config("classical", ["points.k=16", "features.sift=null"]),
                {},
                source="pictures",
            )
        )
    message = str(refusal.value)
    assert "\n  points.k: 32 -> 16\n" in message
    assert '\n  source: "photos" -> "pictures"\n' in message
    assert "features.sift" in message
    assert "--overwrite" in message


def test_batches_pools_and_places_may_change(tmp_path):
    other = load_config(
        "classical",
        ["runtime.batch_size=9", "runtime.actors=3", "models.root=/weights", "models.device=cpu"],
    )
    manifest(tmp_path).check_same(run_identity(other, {}, source="photos"))


def test_other_weights_are_other_settings():
    config = load_config("classical")
    one, other = ({"sam": {"model.safetensors": digit * 64}} for digit in "12")
    assert config_sha256(config, one) != config_sha256(config, other)
    assert list(differences(run_identity(config, one), run_identity(config, other))) == [
        f'weights.sam.model.safetensors: "{"1" * 64}" -> "{"2" * 64}"'
    ]


@given(TREES, TREES)
def test_there_is_no_difference_where_things_are_the_same(one, other):
    assert list(differences(one, json.loads(json.dumps(one)))) == []
    if one != other and not (isinstance(one, dict) and isinstance(other, dict)):
        assert list(differences(one, other))


def test_a_damaged_or_older_manifest_is_no_ground_to_build_on(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema_version": "1"}')
    with pytest.raises(OutputError, match="version 1 of the run format"):
        Manifest.read(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(OutputError, match="is damaged"):
        Manifest.read(str(tmp_path))
