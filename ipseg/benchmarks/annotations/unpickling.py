"""Reading pickles as plain data, without executing any code from the file.

Released loaders come with pickles. A pickle is a program; here only those instructions are executed
that build dicts, lists, strings, numbers and arrays of numbers. Even numpy's own functions are
replaced, because a pickled `dtype` can declare any bytes to be pointers.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ipseg.errors import SourceError

_NUMBERS_AND_TEXT = "biufSU"  # kinds of dtype; "O" and "V" could hold pointers
_FAULTS = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,  # UnicodeDecodeError among them
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    MemoryError,
    OverflowError,
    RecursionError,
    AssertionError,
)


def load_plain(data: bytes, where: str) -> object:
    """The content of a pickle, if it is plain data.

    Plain data are None, bool, int, float, str, bytes, list, tuple, dict, set, OrderedDict,
    defaultdict of these, and numpy arrays and scalars of numbers and text. Text from Python 2 is
    read as Latin-1.

    This protects against code execution, not against waste: a hostile file can still build a
    structure that takes very long to traverse.

    Args:
        data: the whole file, any protocol.
        where: its name, for errors.

    Raises:
        SourceError: the file needs anything else (named), is truncated, or is not a pickle.
    """
    _scan(data, where)
    try:
        return _PlainUnpickler(data, where).load()
    except _FAULTS as error:
        raise SourceError(
            f"{where} is not a readable pickle: {error or type(error).__name__}"
        ) from error


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, where: str) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._where = where

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise SourceError(
                f"{self._where} is not plain data: it needs {module}.{name}, which could run code; "
                "nothing was executed. Take the file from where it was published, or build it from "
                "the official annotations with `ipseg data prepare`"
            ) from None

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ANN401
        raise SourceError(f"{self._where} is not plain data: it refers to outside object {pid!r}")


class _StandIn:
    """Replaces a global. Neither class nor function, so that a file cannot modify it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401
        return self._call(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError("it tries to modify a function")


class _Dtype:
    """A dtype under construction: its name, then its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, name: object, align: object = False, copy: object = False) -> None:
        if not isinstance(name, str):
            raise pickle.UnpicklingError(f"dtype {name!r} is not a name")
        self.dtype = np.dtype(name)
        if self.dtype.kind not in _NUMBERS_AND_TEXT:
            raise pickle.UnpicklingError(f"an array of dtype {name} does not hold numbers or text")

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        if state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError(f"dtype with fields {state[2:5]}")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """An array under construction: empty, then shape, dtype and bytes."""

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        if self.shape != (0,):  # its memory would be freed while others still refer to it
            raise pickle.UnpicklingError("an array is filled twice")
        _, shape, dtype, fortran, data = state
        filled: Any = (1, tuple(shape), _made(dtype), bool(fortran), _raw(data))
        super().__setstate__(filled)


def _made(dtype: object) -> np.dtype[Any]:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError(f"{dtype!r} instead of a dtype")
    return dtype.dtype


def _raw(data: object) -> bytes:
    if isinstance(data, str):  # written by Python 2
        return data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("an array without bytes")
    return bytes(data)


def _new_array(kind: object, shape: object, typecode: object) -> npt.NDArray[Any]:
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError(f"{kind!r} instead of an array")
    return _Array((0,), np.uint8)


def _array_of(buffer: object, dtype: object, shape: Any, order: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    return np.frombuffer(_raw(buffer), _made(dtype)).reshape(shape, order=order)


def _scalar(dtype: object, data: object) -> Any:  # noqa: ANN401
    (value,) = np.frombuffer(_raw(data), _made(dtype))
    return value


def _bytes(text: str = "", encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
    return text.encode("latin1")


def _refuse_array(*_: object) -> NoReturn:
    raise pickle.UnpicklingError("an array without a dtype")


def _default_dict(factory: Any = None, *items: Any) -> defaultdict[Any, Any]:  # noqa: ANN401
    if factory is not None and factory not in _PLAIN_TYPES.values():
        raise pickle.UnpicklingError(f"a defaultdict that calls {factory!r}")
    return defaultdict(factory, *items)


_NDARRAY = _StandIn(_refuse_array)
_PLAIN_TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (dict, list, tuple, set, frozenset, str, int, float, bool)
}
_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): _StandIn(_default_dict),
    ("_codecs", "encode"): _StandIn(_bytes),  # bytes in protocols 0 to 2
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _StandIn(_Dtype),
}
for _builtins in ("builtins", "__builtin__"):
    _ALLOWED |= {(_builtins, name): kind for name, kind in _PLAIN_TYPES.items()}
    _ALLOWED[_builtins, "bytes"] = _StandIn(_bytes)  # the empty one in protocols 0 to 2
for _core in ("numpy.core", "numpy._core"):  # before numpy 2, and since
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _StandIn(_new_array)
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _StandIn(_scalar)
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _StandIn(_array_of)

_OPCODES = {op.code.encode("latin1"): op for op in pickletools.opcodes}


def _scan(data: bytes, where: str) -> None:
    """Refuses files that make the C unpickler allocate memory out of proportion to their size.

    Its memo is an array as long as the largest index; picklers number the indices from 0.
    """
    file, count = io.BytesIO(data), 0
    try:
        while (byte := file.read(1)) != b".":
            opcode, count = _OPCODES[byte], count + 1
            argument: Any = None
            if opcode.name == "STRING":  # which pickletools takes for ASCII
                file.readline()
            elif opcode.arg is not None:
                argument = opcode.arg.reader(file)
            if opcode.name in ("PUT", "LONG_BINPUT") and argument > count:
                raise ValueError(f"memo index {argument} after {count} opcodes")
    except KeyError:
        if not byte:
            raise SourceError(f"{where} is truncated: the pickle has no end mark") from None
        raise SourceError(
            f"{where} is not a pickle: byte {file.tell() - 1} of {len(data)} is not an opcode"
        ) from None
    except ValueError as error:
        raise SourceError(f"{where} is not a readable pickle: {error}") from error
