"""Damage to bytes, as disks, networks, editors and programs with bugs do it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def damage(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """A damaged copy: one to six mutations, one after the other.

    Args:
        data: of a valid input.
        random: source of all choices.
        others: valid inputs of the same kind.
    """
    damaged = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        random.choice(_MUTATIONS)(damaged, random, others)
    return bytes(damaged)


def _flip(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    for _ in range(random.choice((1, 1, 8))):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _number(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    """Lengths, sizes and offsets at their limits."""
    kind = random.choice("BHIQ")
    packed = struct.pack(
        random.choice("<>") + kind, random.choice(_NUMBERS) & (1 << 8 * struct.calcsize(kind)) - 1
    )
    place = random.randrange(len(data) + 1)
    data[place : place + len(packed)] = packed


def _cut(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    del data[random.randrange(len(data) + 1) :]


def _remove(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    place = random.randrange(len(data) + 1)
    del data[place : place + random.choice((1, 4, 512, 4096))]


def _repeat(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    place = random.randrange(len(data) + 1)
    piece = data[place : place + random.choice((1, 4, 64, 512))]
    data[place:place] = piece * random.choice((1, 3, 40))


def _overwrite(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    place = random.randrange(len(data) + 1)
    size = random.choice((1, 4, 16, 512))
    fill = random.choice((b"\0" * size, b"\xff" * size, random.randbytes(size)))
    data[place : place + size] = fill


def _splice(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    other = random.choice(others)
    start = random.randrange(len(other) + 1)
    place = random.randrange(len(data) + 1)
    data[place:] = other[start:] if random.random() < 0.5 else other[start : start + 300]


def _append(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    data += random.choice((b"\n", b"\0" * 700, random.randbytes(33), random.choice(others)))


_MUTATIONS: tuple[Callable[[bytearray, Random, Sequence[bytes]], None], ...] = (
    *(_flip, _flip, _number, _number, _cut, _remove, _repeat, _overwrite, _splice, _append),
)
