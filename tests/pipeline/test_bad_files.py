"""Forty strange files beside twenty good ones: sixty rows, and every bad one says why."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipseg.config import load_config
from ipseg.vision.images import encode_jpeg
from pipeline.runfolder.parts import read_rows
from pipeline.segment import Request, segment

SMALL = str(Path(__file__).parents[1] / "small.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos):
    root = tmp_path_factory.mktemp("sixty")
    small = Image.fromarray(photos["cup"]).resize((150, 100))
    data = encode_jpeg(np.asarray(small))
    for index in range(20):
        small.resize((150 + index, 100)).save(root / f"good-{index}.jpg")
    for index in range(6):
        (root / f"empty-{index}.jpg").write_bytes(b"")
        (root / f"truncated-{index}.jpg").write_bytes(data[: len(data) * (index + 1) // 7])
        (root / f"text-{index}.jpg").write_text("a letter, not an image\n" * (index + 1))
    for index in range(3):
        Image.new("RGB", (1, 1)).save(root / f"tiny-{index}.png")
        (root / f"folder-{index}.jpg").mkdir()
        (root / f"dangling-{index}.jpg").symlink_to(root / "nowhere")
    Image.new("L", (30000, 8)).save(root / "long-0.png")
    small.convert("CMYK").save(root / "cmyk-0.jpg")
    deep = np.asarray(small.convert("L")).astype(np.uint16) * 257
    for index in range(4):
        Image.fromarray(deep).save(root / f"deep-{index}.png")
        more = [Image.new("L", (150, 100))]
        small.save(root / f"animated-{index}.gif", save_all=True, append_images=more)
    upright = Image.Exif()
    upright[0x0112] = 6  # to be turned by 90 degrees clockwise
    for index in range(3):
        small.rotate(90, expand=True).save(root / f"turned-{index}.jpg", exif=upright)
    assert len(list(root.iterdir())) == 60
    return root


def test_sixty_rows_come_out(folder, photos, tmp_path):
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "cup.jpg").write_bytes(encode_jpeg(photos["cup"]))
    config = load_config(SMALL)
    run = segment(
        Request(str(folder), str(tmp_path / "run"), config, prompts=str(prompts), engine="local")
    )
    rows = list(read_rows(run.out))
    assert len(rows) == len({row["key"] for row in rows}) == 60
    assert run.counts == {"ok": 32, "empty": 0, "failed": 28, "poisoned": 0}
    reasons = {
        "empty": ("decode", "0 bytes"),
        "truncated": ("decode", "truncated"),
        "text": ("decode", "it starts with"),
        "tiny": ("decode", "1x1 pixels"),
        "long": ("decode", "30000x8 pixels"),
        "folder": ("read", "directory"),
        "dangling": ("read", "No such file"),
    }
    for row in rows:
        kind = row["key"].partition("-")[0]
        if kind not in reasons:
            assert row["row_status"] == "ok", row["error_message"]
            assert row["width"] > row["height"] == 100, "right side up"
            continue
        stage, message = reasons[kind]
        assert (row["row_status"], row["error_stage"]) == ("failed", stage)
        assert message in row["error_message"]
        assert row["objects"] == []
    areas = {row["key"]: row["objects"][0]["area"] for row in rows if row["objects"]}
    assert areas["turned-0.jpg"] == pytest.approx(areas["animated-0.gif"], rel=0.2)
    assert areas["deep-0.png"] > 0
