import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipseg.columns import COLUMNS, column, from_table, is_local, to_table
from ipseg.vision.masks import encode_rle

arrays = hnp.arrays(
    st.sampled_from([np.float32, np.uint8, np.int64]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@given(arrays)
def test_tensors_come_back_bit_equal(array):
    row = from_table(to_table([{"similarity": array}], ["similarity"]))[0]["similarity"]
    assert row.dtype == array.dtype
    assert row.shape == array.shape
    assert row.tobytes() == array.tobytes()


named_arrays = st.dictionaries(st.text(max_size=5), arrays, max_size=3)


def equal(one, other):
    assert list(one) == list(other)
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.shape == other[name].shape
        assert array.tobytes() == other[name].tobytes()


@given(named_arrays)
def test_prompt_features_come_back(features):
    (row,) = from_table(to_table([{"prompt_features": features}], ["prompt_features"]))
    equal(features, row["prompt_features"])


@given(st.dictionaries(st.text(max_size=2), named_arrays, max_size=3))
def test_what_each_chain_keeps_of_a_prompt_comes_back(chains):
    mask = encode_rle(np.eye(3, dtype=bool))
    kept = [
        {**{"chain": chain, "mask": mask, "mask_source": "mask", "warning": None}, "features": each}
        for chain, each in chains.items()
    ]
    (row,) = from_table(to_table([{"prompts": kept}], ["prompts"]))
    for old, new in zip(kept, row["prompts"], strict=True):
        equal(old["features"], new["features"])
        assert {**old, "features": None} == {**new, "features": None}


points = st.lists(
    st.tuples(st.floats(-9, 9, width=32), st.floats(-9, 9, width=32), st.sampled_from([0.0, 1.0])),
    max_size=4,
)


@given(st.lists(points, max_size=3))
def test_points_come_back(rows):
    given_points = [np.array(each, np.float32).reshape(-1, 3) for each in rows]
    (row,) = from_table(to_table([{"points": given_points}], ["points"]))
    assert len(row["points"]) == len(given_points)
    for old, new in zip(given_points, row["points"], strict=True):
        assert new.dtype == np.float32
        assert np.array_equal(old, new)


@given(st.text(alphabet="0123456789", min_size=1, max_size=3))
def test_a_column_of_one_of_several_chains_travels_like_the_column(number):
    row = {f"similarity@{number}": np.ones((1, 2), np.float32), f"image@{number}": None}
    assert is_local(f"image@{number}")
    (back,) = from_table(to_table([row], [f"similarity@{number}"]))
    assert np.array_equal(back[f"similarity@{number}"], row[f"similarity@{number}"])
    with pytest.raises(KeyError):
        column(f"no-such-column@{number}")


def test_null_is_as_if_never_provided():
    assert from_table(to_table([{"key": "a"}], ["key", "similarity", "width"])) == [{"key": "a"}]


def test_pixels_and_no_other_column_stay_in_the_worker():
    assert [name for name in COLUMNS if is_local(name)] == ["image", "frames"]


def test_every_travelling_column_can_be_empty():
    names = [name for name in COLUMNS if not is_local(name)]
    assert isinstance(to_table([], names), pa.Table)
