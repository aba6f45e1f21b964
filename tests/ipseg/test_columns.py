import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipseg.columns import COLUMNS, from_table, is_local, to_table

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


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.dictionaries(st.text(min_size=1, max_size=5), arrays, min_size=1, max_size=3),
        max_size=3,
    )
)
def test_descriptions_come_back(description):
    row = from_table(to_table([{"description": description}], ["description"]))[0]
    found = row["description"]
    assert {k: set(v) for k, v in found.items()} == {k: set(v) for k, v in description.items()}
    for kind, entries in description.items():
        for name, array in entries.items():
            assert found[kind][name].tobytes() == array.tobytes()


def test_null_is_as_if_never_provided():
    assert from_table(to_table([{"key": "a"}], ["key", "similarity", "width"])) == [{"key": "a"}]


def test_pixels_and_no_other_column_stay_in_the_worker():
    assert [name for name in COLUMNS if is_local(name)] == ["image"]


def test_every_travelling_column_can_be_empty():
    names = [name for name in COLUMNS if not is_local(name)]
    assert isinstance(to_table([], names), pa.Table)
