"""Video files as sequences of frames."""

import av
import numpy as np
import pytest

from ipseg.errors import ImageError
from ipseg.steps.decode import Frames, OpenFrames, open_frames
from ipseg.vision.images import ImageLimits, encode_png
from ipseg.vision.video import VideoFrames, is_video, video_hint

SIZE = (48, 64)  # rows, columns
COUNT = 30
LIMITS = ImageLimits()
# Of an mp4: as it is, and turned by 90 degrees clockwise; 16.16 and 2.30 fixed point.
_UPRIGHT = np.array([[1 << 16, 0, 0], [0, 1 << 16, 0], [0, 0, 1 << 30]], ">i4").tobytes()
_TURNED = np.array([[0, 1 << 16, 0], [-(1 << 16), 0, 0], [0, 0, 1 << 30]], ">i4").tobytes()


def scene(index):
    """A bright bar that goes to the right, by a pixel a frame, in the upper half."""
    image = np.full((*SIZE, 3), 40, np.uint8)
    image[: SIZE[0] // 2, index : index + 16] = (230, 60, 40)
    return image


def film(path, codec="mpeg4", **options):
    """Writes `COUNT` scenes; `options` are those of the encoder, with `into` of the container."""
    with av.open(path, "w", options=options.pop("into", {})) as video:
        stream = video.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for index in range(COUNT):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(scene(index), format="rgb24")))
        video.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return film(tmp_path_factory.mktemp("video") / "clip.mp4")


def trimmed(source, path, start):
    """Cuts off `start` frames as `-c copy` does: from the key frame before, with an edit list."""
    with av.open(source) as video, av.open(path, "w") as out:
        stream = video.streams.video[0]
        copied = out.add_stream_from_template(stream)
        cut = int(start / 10 / stream.time_base)
        video.seek(cut, stream=stream)
        for packet in video.demux(stream):
            if packet.size:
                packet.pts, packet.dts = packet.pts - cut, packet.dts - cut
                packet.stream = copied
                out.mux(packet)
    return path


def close(image, expected):
    return np.abs(image.astype(int) - expected).mean() < 6


def test_frames_are_what_was_filmed_in_any_order(clip):
    frames = VideoFrames(str(clip), LIMITS)
    assert len(frames) == COUNT
    for index in (0, 1, 5, 29, 3, 3, 0):
        assert frames[index].shape == (*SIZE, 3)
        assert frames[index].dtype == np.uint8
        assert close(frames[index], scene(index)), index
    assert not close(frames[0], scene(25))
    assert sum(1 for _ in frames) == COUNT
    assert frames.uris[7] == f"{clip}#frame=7"
    for wrong in (COUNT, -1):
        with pytest.raises(IndexError, match=f"has {COUNT} frames"):
            frames[wrong]


def test_going_forward_decodes_each_frame_once(clip, monkeypatch):
    frames = VideoFrames(str(clip), LIMITS)
    begun = []
    decoded = VideoFrames._decoded
    monkeypatch.setattr(VideoFrames, "_decoded", lambda self: begun.append(1) or decoded(self))
    for index in range(COUNT):
        frames[index]
    assert begun == [1]
    frames[3]
    assert begun == [1, 1]


def test_what_was_filmed_with_the_phone_on_its_side_is_upright(clip, tmp_path):
    data = clip.read_bytes()
    place = data.index(_UPRIGHT, data.index(b"tkhd"))
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data[:place] + _TURNED + data[place + len(_TURNED) :])
    frames = VideoFrames(str(turned), LIMITS)
    assert frames[4].shape == (SIZE[1], SIZE[0], 3)
    assert close(frames[4], np.rot90(scene(4), -1)), "by 90 degrees clockwise"


@pytest.mark.parametrize(("start", "first"), [(14, 14), (12, 12), (10, 12)])
def test_frames_that_were_trimmed_away_are_not_counted(tmp_path, start, first):
    # Key frames are 0, 12 and 24. Frames 10 and 11 are stored after 12, but refer to frame 9 too,
    # which is not there any more.
    whole = film(tmp_path / "whole.mp4", g="12", bf="2", sc_threshold="1000000000")
    frames = VideoFrames(str(trimmed(whole, tmp_path / "trimmed.mp4", start)), LIMITS)
    in_order = list(frames)
    assert len(frames) == len(in_order) == COUNT - first
    for index in (15, 2, 0, 1):
        assert np.array_equal(frames[index], in_order[index])
        assert close(frames[index], scene(first + index)), index


def test_a_row_is_a_folder_or_a_video(clip, tmp_path):
    assert isinstance(open_frames([str(clip)], LIMITS), VideoFrames)
    assert isinstance(open_frames([str(clip), str(clip)], LIMITS), Frames)
    (tmp_path / "0.png").write_bytes(encode_png(scene(0)))
    rows = OpenFrames()([{"frame_uris": [str(clip)]}, {"frame_uris": [f"{tmp_path}/0.png"]}])
    assert [(row["width"], row["height"]) for row in rows] == [(64, 48)] * 2


def test_what_cannot_be_read_is_an_error_that_names_the_file(clip, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ImageError, match=r"text\.mp4 is no video, or damaged"):
        VideoFrames(f"{tmp_path}/text.mp4", LIMITS)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ImageError, match=r"empty\.mp4 is no video: it is empty"):
        VideoFrames(f"{tmp_path}/empty.mp4", LIMITS)
    with pytest.raises(FileNotFoundError):
        VideoFrames(f"{tmp_path}/gone.mp4", LIMITS)
    with pytest.raises(ImageError, match=r"^frame 1 of \d+: .* below images\.min_side"):
        VideoFrames(str(clip), ImageLimits(min_side=60))[0]
    with av.open(tmp_path / "sound.mkv", "w") as sound:
        stream = sound.add_stream("pcm_s16le", rate=8000)
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        noise.rate = 8000
        sound.mux(stream.encode(noise))
    with pytest.raises(ImageError, match="has no video in it"):
        VideoFrames(f"{tmp_path}/sound.mkv", LIMITS)


def positions(path):
    """In the file, of the frames."""
    with av.open(path) as video:
        return [each.pos for each in video.demux(video.streams.video[0]) if each.size]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
def test_a_video_that_was_cut_off_is_an_error_that_names_the_frame(tmp_path, name):
    codec = "libvpx" if name == "a.webm" else "mpeg4"
    path = film(tmp_path / name, codec, into={"movflags": "faststart"} if name == "a.mp4" else {})
    assert len(VideoFrames(str(path), LIMITS)) == COUNT
    data = path.read_bytes()
    ninth = positions(path)[8]
    for end in (ninth, ninth + 20, -9):
        path.write_bytes(data[:end])
        at = "(in|after) frame 30" if end < 0 else "(in frame 9|after frame 8)"
        with pytest.raises(ImageError, match=rf"{name} is .*cut off,? {at}"):
            VideoFrames(str(path), LIMITS)


def test_a_video_that_was_streamed_does_not_say_how_long_it_is(tmp_path):
    path = film(tmp_path / "a.mkv", into={"live": "1"})
    assert len(VideoFrames(str(path), LIMITS)) == COUNT
    path.write_bytes(path.read_bytes()[: positions(path)[8]])
    assert len(VideoFrames(str(path), LIMITS)) == 8


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_what_a_decoder_cannot_decode_is_an_error_that_names_the_frame(tmp_path, name):
    path = film(tmp_path / name)
    data = bytearray(path.read_bytes())
    place = positions(path)[8] + 10
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    frames = VideoFrames(str(path), LIMITS)
    assert close(frames[7], scene(7))
    with pytest.raises(ImageError, match=rf"frame 9 of {COUNT}: .*{name} is no video, or damaged"):
        frames[8]


def test_what_describes_a_video_may_be_in_any_encoding(clip, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(clip.read_bytes().replace(b"isomiso2", b"isomis\xe92"))
    with pytest.raises(UnicodeDecodeError):
        av.open(path)
    assert len(VideoFrames(str(path), LIMITS)) == COUNT


def test_an_unknown_codec_is_an_error_that_names_the_file(tmp_path):
    path = film(tmp_path / "a.avi")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"????"))
    with pytest.raises(ImageError, match=r"a\.avi has a codec that FFmpeg does not know"):
        VideoFrames(str(path), LIMITS)


def test_a_frame_that_cannot_be_used_is_named_with_its_problem(tmp_path):
    names = ("good.png", "bad.png", "gone.png", "small.png")
    uris = [f"{tmp_path}/{name}" for name in names]
    (tmp_path / "good.png").write_bytes(encode_png(scene(0)))
    (tmp_path / "bad.png").write_bytes(encode_png(scene(0))[:80])
    (tmp_path / "small.png").write_bytes(encode_png(scene(0)[:4].copy()))
    frames = open_frames(uris, LIMITS)
    assert frames[0].shape == (*SIZE, 3)
    for index, why in enumerate(("truncated", "No such file", r"below images\.min_side"), 1):
        with pytest.raises(
            ImageError, match=rf"^frame {index + 1} of 4, .*{names[index]}: .*{why}"
        ):
            frames[index]


def test_suffixes_decide(monkeypatch):
    assert is_video("a/B.MP4")
    assert not is_video("a/b.png")
    assert video_hint({".mp4": 1}) == ""
    monkeypatch.setattr("ipseg.vision.video.VIDEO_SUFFIXES", frozenset())
    assert not is_video("a/b.mp4")
    assert "ipseg[video]" in video_hint({".mp4": 1})
    assert video_hint({".txt": 1}) == ""
