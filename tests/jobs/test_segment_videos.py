"""Video files through the command, and frames of a folder beside them."""

import json

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from ipseg.vision.images import encode_png

SIZE = (48, 64)
FRAMES = 6


def scene(index):
    image = np.full((*SIZE, 3), 40, np.uint8)
    image[10:34, index : index + 24] = (230, 60, 40)
    return image


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """`a.mp4`, and the same as images in `b/`; a prompt with its mask."""
    root = tmp_path_factory.mktemp("videos")
    (root / "in/b").mkdir(parents=True)
    (root / "in/notes.txt").write_text("not a video")
    with av.open(root / "in/a.mp4", "w") as video:
        stream = video.add_stream("mpeg4", rate=10)
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for index in range(FRAMES):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(scene(index), format="rgb24")))
            (root / f"in/b/{index}.png").write_bytes(encode_png(scene(index)))
        video.mux(stream.encode(None))
    (root / "prompts").mkdir()
    (root / "prompts/bar.png").write_bytes(encode_png(scene(0)))
    mask = (scene(0)[..., 0] > 200).astype(np.uint8) * 255
    (root / "prompts/bar.mask.png").write_bytes(encode_png(mask))
    return root


def test_a_video_file_is_a_sequence_like_a_folder(videos, tmp_path, command, tiny_root):
    out = tmp_path / "run"
    words = ["segment", "--images", videos / "in", "--prompts", videos / "prompts", "--out", out]
    words += ["--profile", "sine-video", "--engine", "local", "--set", f"models.root={tiny_root}"]
    words += ["--set", "models.device=cpu", "--set", "canvas.side=112"]
    assert command(*words) == 0
    rows = {
        row["key"]: row
        for part in out.glob("data/shard=*/part-*.parquet")
        for row in pq.read_table(part, partitioning=None).to_pylist()
    }
    assert set(rows) == {"a.mp4", "b"}
    assert {row["error_type"] for row in rows.values()} == {None}
    found = {key: [each["frame"] for each in row["objects"]] for key, row in rows.items()}
    assert max(found["a.mp4"]) == FRAMES - 1
    assert {(row["width"], row["height"]) for row in rows.values()} == {(SIZE[1], SIZE[0])}
    assert json.loads((out / "metrics.json").read_text())["ignored_files"] == {".txt": 1}
    assert command("report", out) == 0
    assert "a.mp4" in (out / "report.html").read_text()
