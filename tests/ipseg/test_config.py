import logging
import pickle
import sys

import pytest

from ipseg.config import Runtime, StageSettings, load_config, profiles
from ipseg.errors import ConfigError
from ipseg.methods.ipseg.method import IPSeg
from ipseg.saliency.birefnet import BiRefNetSaliency
from ipseg.saliency.classical import ClassicalSaliency
from ipseg.segmenters.classical import ClassicalSegmenter
from ipseg.steps.support import Support


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    """Profiles in a file make their folder one of those that modules are looked for in."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("profile", profiles())
def test_shipped_profiles_load_and_travel(profile):
    config = load_config(profile)
    assert config.profile == profile
    assert pickle.loads(pickle.dumps(config)).sha256 == config.sha256  # noqa: S301


@pytest.mark.parametrize("profile", profiles())
def test_resolved_settings_are_a_profile_of_the_same_configuration(profile, tmp_path):
    import yaml

    config = load_config(profile)
    plain = {key: value for key, value in config.resolved.items() if key != "profile"}
    (tmp_path / f"{profile}.yaml").write_text(yaml.safe_dump(plain))
    again = load_config(str(tmp_path / f"{profile}.yaml"))
    assert again == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("points.kk=3", r"unknown setting 'points.kk'; did you mean 'points.k'\?"),
        ("point.k=3", r"unknown setting 'point'; did you mean 'points'\?"),
        ("features.shift.weight=1", r"unknown features kind 'shift'; did you mean 'sift'\?"),
        ("segmenter.kind=clasical", r"unknown segmenter kind 'clasical'; did you mean 'classical'"),
        ("segmenter.kind=null", r"'segmenter.kind' is not set; choose from classical, "),
        ("method=ipsegg", r"unknown method 'ipsegg'; did you mean 'ipseg'\?"),
        ("points.k=many", r"points.k: .*integer.*'many'"),
        ("points.k=0", r"points.k: .*greater than or equal to 1"),
        ("runtime.batch_size=0", r"runtime.batch_size: .*greater than or equal to 1"),
        ("points", r"not of the form section.key=value"),
        ("points.k=[1", r"the value is not valid YAML"),
        ("points.k.x=1", r"points.k holds settings"),
        ("features=null", r"'features' is not set; choose from classical, sift"),
        ("features={}", r"no features are set, or all have weight 0"),
        ("support=masc", r"support.kind: .*'mask'"),
        ("support.kind=masc", r"support.kind: .*'mask'"),
        ("support.knid=mask", r"'support.knid'; did you mean 'support.kind'\?"),
        ("runtime.stages.match.batch=2", r"did you mean 'runtime.stages.match.batch_size'\?"),
        ("runtime.stages.match.actors=0", r"runtime.stages.match.actors: .*greater than or equal"),
        ("runtime.stages.match=2", r"runtime.stages.match holds settings"),
    ],
)
def test_a_wrong_setting_is_refused_and_the_right_one_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config("classical", [override])


def test_a_wrong_profile_is_refused_and_the_right_one_named(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'classical'"):
        load_config("clasical")
    with pytest.raises(ConfigError, match="cannot read profile file"):
        load_config("missing.yaml")
    for text, message in (
        ("a: [", "is not valid YAML"),
        ("- a", "holds settings"),
        ("7: a", "'7'"),
    ):
        (tmp_path / "own.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_config(str(tmp_path / "own.yaml"))


def test_hash_covers_what_changes_results_and_nothing_else(tmp_path):
    base = load_config("classical").sha256
    for same in (
        *("runtime.batch_size=7", "runtime.stages.match.actors=3", "runtime.bank_cache_mb=1"),
        *("points.k=32", "models.root=/elsewhere", "models.device=cpu"),
    ):
        assert load_config("classical", [same]).sha256 == base, same
    for other in (
        *("points.k=16", "features.sift.weight=0", "support=mask", "images.min_side=9"),
        *("models.precision=float32", "support.saliency.regions=99"),
    ):
        assert load_config("classical", [other]).sha256 != base, other
    own = tmp_path / "mine.yaml"
    own.write_text(
        "support: {saliency: {kind: classical}}\nfeatures: {classical: {}}\n"
        "segmenter: {kind: classical}\n"
    )
    assert load_config(str(own)).profile == "mine"


def test_an_extractor_can_be_taken_out():
    without = load_config("classical", ["features.sift=null"])
    assert isinstance(without.method, IPSeg)
    assert list(without.method.features) == ["classical"]
    weightless = load_config("classical", ["features.sift.weight=0"])
    assert list(weightless.method.extractors) == ["classical"]


def test_a_support_is_its_kind_or_a_section():
    classical = ClassicalSaliency()
    assert load_config("classical").support == Support("saliency", classical)
    short = load_config("classical", ["support=mask"])
    assert short.support == Support("mask", classical), "the rest stays, for those who change back"
    assert short.sha256 == load_config("classical", ["support.kind=mask"]).sha256
    found = load_config("classical", ["support=box", "support.segmenter.kind=classical"]).support
    assert found == Support("box", classical, ClassicalSegmenter())
    again = load_config("classical", ["support=none", "support.kind=saliency"])
    assert again.sha256 == load_config("classical").sha256


def test_a_profile_may_have_a_support_in_short(tmp_path):
    profile = tmp_path / "short.yaml"
    profile.write_text("support: none\nfeatures: {sift: {}}\nsegmenter: {kind: classical}\n")
    assert load_config(str(profile)).support == Support("none")
    assert load_config(str(profile), ["support.segmenter.kind=classical"]).support == Support(
        "none", segmenter=ClassicalSegmenter()
    )


def test_a_stage_can_have_its_own_batch_and_pool():
    runtime = load_config(
        "classical",
        [
            *("runtime.batch_size=8", "runtime.stages.segment.batch_size=2"),
            *("runtime.stages.match.gpu_memory_gb=1.5", "runtime.stages.match.actors=3"),
        ],
    ).runtime
    assert runtime.stages == {
        "segment": StageSettings(batch_size=2),
        "match": StageSettings(actors=3, gpu_memory_gb=1.5),
    }
    assert [runtime.batch_of(stage) for stage in ("segment", "match", "points")] == [2, 8, 8]
    assert Runtime().batch_of("match") == Runtime().batch_size


OWN = """
from dataclasses import dataclass, field

from ipseg import Method
from ipseg.segmenters import Segmenter


@dataclass(frozen=True)
class Looks:
    far: int = 3


@dataclass(frozen=True)
class Mine(Method):
    segmenter: Segmenter
    look: Looks = field(default_factory=Looks)
    share: float = 0.5

    def prompt_steps(self): return []
    def image_steps(self, bank): return []


class Bare(Method):
    share: float = 0.5

    def prompt_steps(self): return []
    def image_steps(self, bank): return []


@dataclass(frozen=True)
class Half(Method):
    def prompt_steps(self): return []


@dataclass(frozen=True)
class Taken(Mine):
    support: str = "mine"


class Other:
    pass
"""


@pytest.fixture
def beside(tmp_path):
    """A module of one's own that is not on the path, in the folder of a profile."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    yield name
    sys.modules.pop(name, None)


def own_profile(folder, text):
    (folder / "mine.yaml").write_text(text)
    return str(folder / "mine.yaml")


def test_a_method_of_ones_own_lies_beside_its_profile(beside, tmp_path):
    profile = own_profile(
        tmp_path, f"method: {beside}:Mine\nlook: {{far: 5}}\nsegmenter: {{kind: classical}}\n"
    )
    config = load_config(profile, ["share=0.25", "support=none"])
    assert config.method_name == f"{beside}:Mine"
    assert (config.method.look.far, config.method.share) == (5, 0.25)
    assert config.method.segmenter == ClassicalSegmenter()
    assert config.resolved["look"] == {"far": 5}
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
    with pytest.raises(ConfigError, match=r"'look.fra'; did you mean 'look.far'\?"):
        load_config(profile, ["look.fra=3"])
    with pytest.raises(ConfigError, match=r"unknown setting 'points'; .*support, images, models"):
        load_config(profile, ["points.k=3"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Mein", r"method: cannot load \w+:Mein .*no attribute.* must lie beside the profile"),
        ("Bare", "Bare is no dataclass derived from ipseg.Method"),
        ("Other", "Other is no dataclass derived from ipseg.Method"),
        ("Half", "Half does not define image_steps"),
        ("Taken", "Taken.support has the name of a section that belongs to all methods"),
    ],
)
def test_a_class_that_is_no_method_is_refused_with_the_reason(name, message, beside, tmp_path):
    profile = own_profile(tmp_path, f"method: {beside}:{name}\nsegmenter: {{kind: classical}}\n")
    with pytest.raises(ConfigError, match=message):
        load_config(profile)


def test_a_module_that_is_not_there_is_an_error_that_says_where_it_should_be(tmp_path):
    profile = own_profile(tmp_path, "method: nowhere_at_all.mine:Mine\n")
    with pytest.raises(ConfigError, match=r"nowhere_at_all.* must lie beside the profile, in the"):
        load_config(profile)


def test_another_method_leaves_out_the_sections_it_has_no_use_for(beside, tmp_path, caplog):
    load_config(own_profile(tmp_path, f"method: {beside}:Mine\nsegmenter: {{kind: classical}}\n"))
    with caplog.at_level(logging.INFO, "ipseg"):
        config = load_config("classical", ["look.far=4"], method=f"{beside}:Mine")
    assert (config.profile, config.method_name) == ("classical", f"{beside}:Mine")
    assert config.method.segmenter == ClassicalSegmenter(), "both have it"
    assert config.method.look.far == 4
    assert config.support == load_config("classical").support
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.endswith("has no use for saliency, features, matching, points, refinement, scoring")
    with pytest.raises(ConfigError, match="unknown setting 'points'"):
        load_config("classical", ["points.k=3"], method=f"{beside}:Mine")


def test_the_profiles_own_method_drops_nothing(caplog):
    with caplog.at_level(logging.INFO, "ipseg"):
        same = load_config("classical", method="ipseg")
    assert same == load_config("classical")
    assert not caplog.records


def test_another_kind_of_part_has_its_own_weights():
    birefnet = ["support.saliency.kind=birefnet", "support.saliency.remote_code=true"]
    found = load_config("ipseg-modern", birefnet).support.saliency
    assert found == BiRefNetSaliency(remote_code=True)
    given = ["segmenter.weights=own.pth", "segmenter.kind=segment_anything"]
    assert load_config("ipseg-modern", given).method.segmenter.weights == "own.pth"
    same = load_config("ipseg-modern", ["segmenter.kind=hf_sam"])
    assert same == load_config("ipseg-modern")
    swapped = load_config("persam-f", ["segmenter.kind=segment_anything"]).method.segmenter
    assert swapped.aspect == "letterbox"


def test_labelling_starts_from_what_the_method_labels_with_and_benchmarks_do_not(tmp_path):
    def mode(*given, labelling=True):
        config = load_config(*given, labelling=labelling)
        assert config.resolved["instances"]["mode"] == config.method.instances.mode
        return config.method.instances.mode

    assert mode("classical", labelling=False) == "one"
    assert mode("classical") == mode("ipseg-light") == "each"
    assert mode("classical", ["instances.mode=one"]) == "one", "what is said counts"
    own = tmp_path / "own.yaml"
    own.write_text("method: ipseg\nfeatures: {sift: {}}\nsegmenter: {kind: classical}\n")
    assert mode(str(own)) == "each"
    own.write_text(own.read_text() + "instances: {max_instances: 3}\n")
    assert mode(str(own)) == "each"
    own.write_text(own.read_text().replace("{max_instances", "{mode: one, max_instances"))
    assert mode(str(own)) == "one"
    assert "instances" not in load_config("persam", labelling=True).resolved
    plain, each = load_config("classical"), load_config("classical", labelling=True)
    assert plain.sha256 != each.sha256, "a run of the other mode is refused"
