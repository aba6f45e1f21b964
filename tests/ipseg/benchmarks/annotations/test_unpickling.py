"""Attacks are refused before any of their code runs; plain data is read unchanged."""

import collections
import pickle
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipseg.benchmarks.annotations.unpickling import load_plain
from ipseg.errors import SourceError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers())
    ),
)


@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_plain_data_comes_back_whatever_the_protocol(data, protocol):
    assert load_plain(pickle.dumps(data, protocol), "x.pkl") == data


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ordered_and_default_dictionaries_come_back(protocol):
    data = [
        collections.OrderedDict(b=1, a=2),
        collections.defaultdict(list, {1: [2]}),
        collections.defaultdict(None, {1: 2}),
    ]
    found = load_plain(pickle.dumps(data, protocol), "x.pkl")
    assert found == data
    assert [type(item) for item in found] == [type(item) for item in data]
    assert found[1]["new"] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
        np.array([[True, False]]),
        np.array(["val2017", "é"]),
        np.zeros((0, 4), np.float16),
        np.float64(0.1),
        np.int32(-3),
        np.bool_(True),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_and_scalars_of_numbers_and_text_come_back(array, protocol):
    found = load_plain(pickle.dumps({"a": array, "b": array}, protocol), "x.pkl")["a"]
    assert (found.dtype.newbyteorder("="), found.shape) == (
        array.dtype.newbyteorder("="),
        array.shape,
    )
    np.testing.assert_array_equal(found, array)


def test_pickles_written_before_numpy_2_and_by_python_2_come_back():
    old = pickle.dumps(np.arange(3), 2).replace(b"numpy._core.", b"numpy.core.")
    np.testing.assert_array_equal(load_plain(old, "x.pkl"), np.arange(3))
    # 'caf\xe9' and an array's bytes as str of Python 2, opcode SHORT_BINSTRING.
    assert load_plain(b"\x80\x02U\x04caf\xe9.", "x.pkl") == "café"
    text = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'u1'\nI0\nI1\ntRU\x01\xfftR."
    assert load_plain(text, "x.pkl") == 255


class Call:
    """An attack: a pickle that calls any function."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


MARK = Path("ran-by-a-pickle")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Call(__import__("os").system, f"touch {MARK}"), "system"),
        (Call(eval, f"open('{MARK}', 'w')"), r"builtin\w*\.eval"),
        (Call(exec, f"open('{MARK}', 'w')"), "exec"),
        (Call(getattr, "", "join"), "getattr"),
        (Call(__import__, "os"), "__import__"),
        (Call(open, str(MARK), "w"), "open"),
        (Call(subprocess.Popen, ["touch", str(MARK)]), r"\.Popen"),
        (Call(np.load, "x.npy"), r"numpy\.load"),
        (Call(pickle.loads, b"."), r"_?pickle\.loads"),
        (Call(bytearray, 10**12), "bytearray"),
        (Path("x"), "pathlib"),
        (Call(MARK.touch), "getattr|pathlib|Path"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_attack_is_named_and_not_executed(attack, named, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=rf"split\.pkl is not plain data: it needs .*({named})"):
        load_plain(pickle.dumps({"val2017/1.jpg": [attack]}, protocol), "split.pkl")
    assert not MARK.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8c\x0bcollections\x8c\x20OrderedDict.__init__.__globals__\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bcore.memmap\x93.",
        b"cos\nsystem\n(S'true'\ntR.",  # protocol 0
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
    ],
)
def test_other_ways_to_reach_a_global_are_refused(data):
    with pytest.raises(SourceError, match="is not plain data"):
        load_plain(data, "x.pkl")


def test_persistent_ids_and_extension_codes_are_refused():
    with pytest.raises(SourceError, match="refers to outside object '1'"):
        load_plain(b"P1\n.", "x.pkl")
    with pytest.raises(SourceError, match="unregistered extension"):
        load_plain(b"\x80\x02\x82\x07.", "x.pkl")


OBJECTS = b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR"
FORGED = (  # an i8 dtype with a state that declares its items pointers
    b"cnumpy\ndtype\n(S'i8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI63\ntb"
)
ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


def test_arrays_of_objects_are_refused():
    with pytest.raises(SourceError, match="does not hold numbers or text"):
        load_plain(pickle.dumps(np.array([{}], dtype=object)), "x.pkl")
    with pytest.raises(SourceError, match="does not hold numbers or text"):
        load_plain(pickle.dumps(np.zeros(1, [("a", "O")])), "x.pkl")
    with pytest.raises(SourceError, match="does not hold numbers or text"):
        load_plain(OBJECTS + b".", "x.pkl")


def test_flags_of_a_forged_dtype_are_ignored():
    eight = struct.pack("<q", 0x4141414141414141)
    data = ARRAY + b"(I1\n(I1\nt" + FORGED + b"I00\nC\x08" + eight + b"tb."
    assert load_plain(data, "x.pkl").tolist() == [0x4141414141414141]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (ARRAY + b"(I1\n(I2\ntS'f8'\nI00\nC\x01xtb.", "instead of a dtype"),
        (ARRAY + b"(I1\n(I9\nt" + FORGED + b"I00\nC\x01xtb.", "buffer"),
        (ARRAY + b"(I1\n(I1\nt" + FORGED + b"I00\n]tb.", "without bytes"),
        (ARRAY + 2 * (b"(I1\n(I1\nt" + FORGED + b"I00\nC\x0888888888tb") + b".", "filled twice"),
        (b"cnumpy._core.multiarray\n_reconstruct\n(c__builtin__\nlist\n(I0\ntS'b'\ntR.", "array"),
        (b"cnumpy\nndarray\n((I9\nttR.", "without a dtype"),
        (b"cnumpy\ndtype\n(I5\ntR.", "is not a name"),
        (b"c_codecs\nencode\n(S'x'\nS'utf-16'\ntR.", "encoding 'utf-16'"),
        (b"ccollections\ndefaultdict\n(cnumpy\ndtype\ntR.", "a defaultdict that calls"),
        (b"c_codecs\nencode\n}S'_call'\nNsb.", "modify a function"),
        (b"ccollections\nOrderedDict\n}S'pop'\nNsb.", "not a readable pickle"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_allowed_globals_cannot_be_misused(data, fault):
    with pytest.raises(SourceError, match=fault):
        load_plain(data, "x.pkl")
    assert collections.OrderedDict(a=1).pop("a") == 1


def test_every_truncated_file_is_refused():
    whole = pickle.dumps({1: ["val2014/a.jpg", 2.5, b"x"], 2: np.arange(3)})
    for length in range(len(whole)):
        with pytest.raises(SourceError, match=r"^split\.pkl "):
            load_plain(whole[:length], "split.pkl")


@given(st.binary(max_size=60))
def test_random_bytes_give_data_or_a_clear_error(data):
    with suppress(SourceError):
        load_plain(data, "x.pkl")


@given(st.data())
def test_damaged_pickles_give_data_or_a_clear_error(data):
    whole = bytearray(pickle.dumps({1: {"a": [1.5, np.arange(2)]}}, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(SourceError):
        load_plain(bytes(whole), "x.pkl")


def test_a_small_file_cannot_ask_for_a_huge_memo():
    for bomb in (b"\x80\x02Nr\xff\xff\xff\x7f.", b"Np2147483647\n."):
        with pytest.raises(SourceError, match="memo index 2147483647"):
            load_plain(bomb, "x.pkl")


def test_deeply_nested_lists_are_an_error():
    deep = load_plain(b"]" * 100_000 + b"a" * 99_999 + b".", "x.pkl")
    assert isinstance(deep, list)
    with pytest.raises(SourceError, match="not a readable pickle"):
        load_plain(b"I" + b"9" * 10_000 + b"\n.", "x.pkl")
