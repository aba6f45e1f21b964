"""Video files as sequences of frames, where the package av (FFmpeg) is installed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import chain
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np

from ipseg.errors import ImageError
from ipseg.rows import Image
from ipseg.storage.files import open_input
from ipseg.vision.containers import missing_bytes
from ipseg.vision.images import ImageLimits
from ipseg.wording import counted

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})
VIDEO_SUFFIXES: frozenset[str] = _SUFFIXES if find_spec("av") else frozenset()


def is_video(name: str) -> bool:
    """Whether a file is read as a video, by its suffix; none is where av is not installed."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def video_hint(left_out: Iterable[str]) -> str:
    """How files of these suffixes can be read, if they are videos and nothing here reads them."""
    if VIDEO_SUFFIXES or not _SUFFIXES.intersection(left_out):
        return ""
    return "; for videos: pip install 'ipseg[video]'"


class VideoFrames(Sequence[Image]):
    """The frames of a video file, upright, each decoded when it is asked for.

    Going forward decodes each frame once; going back begins again at the start. One frame is held,
    so a long video takes no more memory than a short one.
    """

    def __init__(self, uri: str, limits: ImageLimits) -> None:
        """Counts the frames that are to be displayed, without decoding them.

        Args:
            uri: path or fsspec URL of the file.
            limits: of the frames.

        Raises:
            ImageError: it is no video, or ends early, or is damaged where that can be seen
                without decoding; names the file and the frame.
            OSError: it cannot be read.
        """
        self.uri, self._limits = uri, limits
        with self._opened() as (file, video):
            self._length = 0
            for packet in self._packets(video):
                if packet.is_corrupt:
                    at = self._length + 1
                    raise ImageError(f"{uri} is damaged, or cut off, in frame {at}")
                # Some are only decoded because others refer to them: before an MP4 was trimmed.
                self._length += packet.size > 0 and not packet.is_discard
            if missing := missing_bytes(file):
                lacks = f"at least {counted(missing, 'byte')} missing"
                raise ImageError(f"{uri} is cut off after frame {self._length}: {lacks}")
        self._frames: Iterator[Image] = iter(())
        self._index = len(self)  # of the frame that is held; at first before them all
        self._image: Image | None = None

    @property
    def uris(self) -> tuple[str, ...]:
        """A name for each frame: URI#frame=INDEX."""
        return tuple(f"{self.uri}#frame={index}" for index in range(len(self)))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Image:  # type: ignore[override]  # no slices
        """(H, W, 3) uint8 RGB.

        Raises:
            IndexError: there are not so many frames.
            ImageError: it cannot be decoded, or is out of limits; names the frame, from 1.
            OSError: the file cannot be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.uri} has {len(self)} frames, not {index + 1}")
        if index < self._index:
            self._frames, self._index = self._decoded(), -1
        while self._index < index:
            try:
                self._image = next(self._frames, None)
            except ImageError as error:
                at, self._index = self._index + 2, len(self)
                raise ImageError(f"frame {at} of {len(self)}: {error}") from error
            self._index += 1
        if self._image is None:
            self._index = len(self)
            raise ImageError(
                f"{self.uri} ends before frame {index + 1} of {len(self)}: it is damaged"
            )
        return self._image

    def _decoded(self) -> Iterator[Image]:
        with self._opened() as (_, video):
            # Otherwise a decoder fills in what it cannot decode.
            video.streams.video[0].codec_context.options = {"err_detect": "explode"}
            for frame in chain.from_iterable(each.decode() for each in self._packets(video)):
                self._limits.check(frame.width, frame.height)
                # Counter-clockwise, in degrees: phones store how they were held.
                turns = round(frame.rotation / 90) % 4
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))

    def _packets(self, video: InputContainer) -> Iterator[Packet[VideoStream]]:
        """In the order of decoding, the one that ends the stream included.

        Without those that come after the first key frame and are displayed before it: they refer to
        frames before it, which were cut off with another tool, so nothing can decode them.
        """
        first: int | None = None
        for packet in video.demux(video.streams.video[0]):
            if first is None:
                first = packet.pts if packet.is_keyframe else None
            elif packet.size and _before(first, packet):
                continue
            yield packet

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], InputContainer]]:
        import av

        try:
            with open_input(self.uri) as file:
                if not file.seek(0, os.SEEK_END):
                    raise ImageError(f"{self.uri} is no video: it is empty")
                file.seek(0)
                # Titles can be in any encoding.
                with av.open(file, "r", metadata_errors="replace") as video:
                    if not video.streams.video:
                        raise ImageError(f"{self.uri} has no video in it, only sound")
                    if not video.streams.video[0].codec_context:
                        raise ImageError(f"{self.uri} has a codec that FFmpeg does not know")
                    yield file, video
        except av.FFmpegError as error:
            raise ImageError(f"{self.uri} is no video, or damaged: {error.strerror}") from error


def _before(first: int, packet: Packet[VideoStream]) -> bool:
    # Matroska stores no time before its first frame; AVI no `pts`, but `dts`.
    if packet.pts is None:
        return packet.dts is None
    return packet.pts < first
