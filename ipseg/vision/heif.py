"""HEIC and HEIF, as phones write photos: read where the package pillow-heif is installed."""

from __future__ import annotations

from collections.abc import Iterable

_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
try:
    import pillow_heif
except ImportError:
    HEIF_FORMATS: tuple[str, ...] = ()
    HEIF_SUFFIXES: frozenset[str] = frozenset()
else:
    pillow_heif.register_heif_opener()
    HEIF_FORMATS, HEIF_SUFFIXES = ("HEIF",), _SUFFIXES


def heif_hint(left_out: Iterable[str]) -> str:
    """How files of these suffixes can be read, where they are HEIF and nothing here reads it."""
    if HEIF_SUFFIXES or not _SUFFIXES.intersection(left_out):
        return ""
    return "; for HEIC: pip install 'ipseg[heif]'"
