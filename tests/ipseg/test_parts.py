import sys
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from ipseg.errors import ConfigError
from ipseg.features import Extractor
from ipseg.features.classical import ClassicalDescriptors
from ipseg.features.sift import SiftGeometry
from ipseg.parts import build, settings_of, unknown, without
from ipseg.saliency import Saliency
from ipseg.saliency.classical import ClassicalSaliency
from ipseg.segmenters import Segmenter


@dataclass(frozen=True)
class Inner:
    """Settings in settings."""

    size: Annotated[int, Field(ge=1)] = 3
    mode: Literal["fast", "exact"] = "exact"

    def __post_init__(self):
        if self.size == 13:
            raise ValueError("13 brings bad luck")


@dataclass(frozen=True)
class Whole:
    """One setting of each form."""

    features: dict[str, Extractor]
    saliency: Saliency | None = None
    inner: Inner = field(default_factory=Inner)
    named: dict[str, Inner] = field(default_factory=dict)
    maybe: Inner | None = None
    share: float | None = None
    sides: tuple[int, ...] = ()


FULL = {
    "features": {"sift": {"weight": 2.0}, "classical": None},
    "saliency": {"kind": "classical", "regions": 99},
    "inner": {"size": 5},
    "named": {"left": {"size": 1}, "right": {"mode": "fast"}},
    "maybe": {"size": 7},
    "share": 0.5,
    "sides": [1, 2],
}


def test_every_form_of_setting_is_built_of_its_type():
    assert build(Whole, "", FULL) == Whole(
        features={"sift": SiftGeometry(weight=2.0), "classical": ClassicalDescriptors()},
        saliency=ClassicalSaliency(regions=99),
        inner=Inner(5),
        named={"left": Inner(1), "right": Inner(mode="fast")},
        maybe=Inner(7),
        share=0.5,
        sides=(1, 2),
    )


def test_what_is_left_out_or_null_takes_its_default():
    plain = Whole({"sift": SiftGeometry()})
    assert build(Whole, "", {"features": {"sift": {}}}) == plain
    nulls = dict.fromkeys(("saliency", "inner", "named", "maybe", "share"))
    assert build(Whole, "", {"features": {"sift": None}, **nulls}) == plain


@given(
    st.fixed_dictionaries(
        {"features": st.just({"sift": {}})},
        optional={
            "inner": st.fixed_dictionaries({}, optional={"size": st.integers(1, 12)}),
            "named": st.dictionaries(
                st.text(max_size=3), st.fixed_dictionaries({"size": st.integers(1, 12)})
            ),
            "maybe": st.none() | st.just({"mode": "fast"}),
            "share": st.none() | st.floats(0, 1),
            "sides": st.lists(st.integers(0, 9)),
        },
    )
)
def test_settings_of_what_was_built_build_the_same(settings):
    built = build(Whole, "", settings)
    plain = settings_of(built)
    assert build(Whole, "", plain) == built
    assert settings_of(build(Whole, "", plain)) == plain


def test_plain_settings_name_the_kind_of_each_part():
    plain = settings_of(build(Whole, "", FULL))
    assert plain["saliency"]["kind"] == "classical"
    assert plain["features"]["sift"]["weight"] == 2.0
    assert "kind" not in plain["features"]["sift"], "its key says it"
    assert plain["sides"] == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {"sice": 1}}, r"unknown setting 'inner.sice'; did you mean 'inner.size'\?"),
        ({"named": {"left": {"sice": 1}}}, r"'named.left.sice'; did you mean 'named.left.size'"),
        ({"inner": {"size": 0}}, r"inner.size: .*greater than or equal to 1 \(got 0\)"),
        ({"inner": {"mode": "slow"}}, r"inner.mode: .*'fast' or 'exact'"),
        ({"inner": {"size": 13}}, r"^inner: 13 brings bad luck"),
        ({"inner": 3}, r"inner holds settings \(key: value\), not 3"),
        ({"named": [1]}, r"named holds settings"),
        ({"saliency": {"regions": 3}}, r"'saliency.kind' is not set; choose from classical, cor"),
        ({"saliency": {"kind": ["a"]}}, r"unknown saliency kind '\['a'\]'"),
        ({"saliency": {"kind": "clasical"}}, r"saliency kind 'clasical'; did you mean 'classical'"),
        ({"saliency": {"kind": "classical", "region": 3}}, r"did you mean 'saliency.regions'\?"),
        ({"features": {"shift": {}}}, r"unknown features kind 'shift'; did you mean 'sift'\?"),
        ({"features": {"sift": {"wight": 1}}}, r"did you mean 'features.sift.weight'\?"),
        ({"sides": ["a"]}, r"sides.0: .*integer"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(change, message):
    with pytest.raises(ConfigError, match=message):
        build(Whole, "", FULL | change)


def test_a_setting_without_a_default_has_to_be_there():
    @dataclass
    class Needy:
        segmenter: Segmenter
        length: int

    with pytest.raises(ConfigError, match=r"'features' is not set; choose from classical, sift"):
        build(Whole, "", {})
    with pytest.raises(ConfigError, match=r"'a.segmenter' is not set; choose from .*hf_sam"):
        build(Needy, "a", {"length": 3})
    with pytest.raises(ConfigError, match=r"'a.length' is not set$"):
        build(Needy, "a", {"segmenter": {"kind": "classical"}})


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Function: source -> name of a module that can be imported during the test."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(text):
        names.append(f"{tmp_path.name.replace('-', '_')}_{len(names)}")
        (tmp_path / f"{names[-1]}.py").write_text(text)
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


PART = """
from dataclasses import dataclass

@dataclass
class Middle:
    share: float = 0.5
    gpu_memory_gb: float = 0.0

    def setup(self, models): pass
"""


def test_a_part_of_ones_own_is_named_by_where_it_lies(own_module):
    kind = f"{own_module(PART)}:Middle"
    built = build(Saliency, "saliency", {"kind": kind, "share": 0.25})
    assert (type(built).__name__, built.share) == ("Middle", 0.25)
    assert settings_of(built) == {"kind": kind, "share": 0.25, "gpu_memory_gb": 0.0}
    assert build(Saliency, "saliency", settings_of(built)) == built
    extractors = build(dict[str, Extractor], "features", {kind: {"share": 1.0}})
    assert list(extractors) == [kind]
    with pytest.raises(ConfigError, match=r"'saliency.shore'; did you mean 'saliency.share'"):
        build(Saliency, "saliency", {"kind": kind, "shore": 1})


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("", "Middle", "has no attribute 'Middle'"),
        ("Middle = 3", "Middle", "is not a class"),
        ("import surely_not_there", "Middle", "No module named 'surely_not_there'"),
        ("", "a:b", "too many values"),
    ],
)
def test_a_part_that_cannot_be_loaded_is_one_clear_error(own_module, text, name, reason):
    kind = f"{own_module(text)}:{name}"
    with pytest.raises(ConfigError, match=f"saliency.kind: cannot load {kind} .*{reason}.*beside"):
        build(Saliency, "saliency", {"kind": kind})


def test_a_part_without_fields_for_its_settings_is_refused(own_module):
    kind = f"{own_module('class Plain: pass')}:Plain"
    with pytest.raises(ConfigError, match=f"saliency.kind: {kind} is no dataclass"):
        build(Saliency, "saliency", {"kind": kind})


nested = st.recursive(
    st.integers(), lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3)
)


def keys_of(settings):
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield key
            yield from keys_of(value)


@given(st.dictionaries(st.sampled_from("abc"), nested, max_size=3))
def test_keys_are_left_out_at_any_depth_and_nothing_else(settings):
    assert without(settings) == settings
    left = without(settings, "a", "c")
    assert set(keys_of(left)) <= {"b"}
    assert left.keys() == settings.keys() - {"a", "c"}


def test_an_unknown_name_comes_with_the_nearest_or_with_all():
    assert unknown("kind", "sam", ["sam2", "clip"]).endswith("did you mean 'sam2'?")
    assert unknown("kind", "qqq", ["sam2", "clip"]).endswith("known: sam2, clip")
    assert unknown("setting", 7, ["sam2"]) == "unknown setting '7'; known: sam2"
