import pickle

import pytest

from ipseg.config import load_config, profiles
from ipseg.errors import ConfigError


@pytest.mark.parametrize("profile", profiles())
def test_shipped_profiles_load_and_travel(profile):
    config = load_config(profile)
    assert config.profile == profile
    assert pickle.loads(pickle.dumps(config)).sha256 == config.sha256  # noqa: S301


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("points.kk=3", r"unknown setting 'points.kk'; did you mean 'points.k'\?"),
        ("point.k=3", r"unknown setting 'point'; did you mean 'points'\?"),
        ("features.shift.weight=1", r"unknown features kind 'shift'; did you mean 'sift'\?"),
        ("segmenter.kind=clasical", r"unknown segmenter kind 'clasical'; did you mean 'classical'"),
        ("method=ipsegg", r"unknown method 'ipsegg'; did you mean 'ipseg'\?"),
        ("points.k=many", r"points.k: .*integer.*'many'"),
        ("runtime.batch_size=0", r"runtime.batch_size: .*greater than or equal to 1"),
        ("points", r"not of the form section.key=value"),
        ("points.k.x=1", r"points.k holds settings"),
        ("features=null", r"no features are set"),
    ],
)
def test_a_wrong_setting_is_refused_and_the_right_one_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config("classical", [override])


def test_a_wrong_profile_is_refused_and_the_right_one_named():
    with pytest.raises(ConfigError, match="did you mean 'classical'"):
        load_config("clasical")
    with pytest.raises(ConfigError, match="cannot read profile file"):
        load_config("missing.yaml")


def test_hash_covers_what_changes_results_and_nothing_else(tmp_path):
    base = load_config("classical").sha256
    assert load_config("classical", ["runtime.batch_size=7"]).sha256 == base
    assert load_config("classical", ["points.k=32"]).sha256 == base, "the default, said aloud"
    assert load_config("classical", ["points.k=16"]).sha256 != base
    assert load_config("classical", ["features.sift.weight=0"]).sha256 != base
    own = tmp_path / "mine.yaml"
    own.write_text(
        "saliency: {kind: classical}\nfeatures: {classical: {}}\nsegmenter: {kind: classical}\n"
    )
    assert load_config(str(own)).profile == "mine"


def test_an_extractor_can_be_taken_out():
    assert list(load_config("classical", ["features.sift=null"]).features) == ["classical"]
