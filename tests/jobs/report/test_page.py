"""The report: one file, nothing remote, everything escaped, whatever the run looks like."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil

import numpy as np
import PIL.Image
import pytest
from skimage import data

from ipseg.errors import ImageError, OutputError
from ipseg.rows import failed
from ipseg.storage.files import read_bytes
from jobs.report.write import write_report
from pipeline.process import write_shards
from pipeline.runfolder.manifest import Manifest
from pipeline.sources.shard import Shard
from pipeline.stages.run_stage import PoisonedRow

EVIL = "<script>alert(1)</script>"
CUT = ImageError("the JPEG data is cut off")


@pytest.fixture
def report(maker, page, tmp_path):
    """Function: rows, concepts -> the page of a run."""

    def write(rows, concepts=("cat", "cup"), quality=None, **about):
        out = str(tmp_path / "run")
        maker.write(out, rows, concepts, quality, **about)
        assert write_report(f"{out}/") == f"{out}/report.html"
        return page(f"{out}/report.html")

    return write


def test_a_measured_run(report, maker, quality):
    rows = [*maker.measured(), failed(maker.row("broken", "moon"), "decode", CUT)]
    page = report(rows, quality=quality("cat", "cup"))
    assert page.html.startswith("<!doctype html>")
    assert list(page.sections) == [
        *("Prompts", "Results", "Distributions"),
        *("Best", "Worst", "Several concepts", "None present", "Failed", "Stages"),
    ]
    assert "0.512" in page.text
    assert "all foreground" in page.sections["Results"]
    assert "comparison" not in page.sections["Results"]
    assert "covers nearly nothing" in page.sections["Prompts"]
    assert "object given by a mask" in page.sections["Prompts"]
    assert "<b>ImageError</b> the JPEG data is cut off" in page.sections["Failed"]
    assert "14.4 kB" in page.sections["Stages"]
    assert "abababababababab" in page.text
    assert page.keys("Best")[0] == "cat-00"
    worst = [f"cat-{number:02d}" for number in (11, 10, 9, 8, 6, 3, 0, 7)]
    assert page.keys("Worst") == worst
    assert sorted(page.keys("Several concepts")) == ["cat-00", "cat-03", "cat-06", "cat-09"]
    assert page.keys("None present") == [f"none-{number}" for number in (5, 4, 3, 2, 1, 0)]


def test_one_file_and_nothing_remote(report, maker, quality, tmp_path):
    page = report(maker.measured(), quality=quality("cat", "cup"))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("manifest.json", "metrics.json", "report.html", "bank", "data")
    }
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?://", page.html)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in page.html
    assert "prefers-color-scheme: dark" in page.html
    assert all(max(image.shape) <= 460 for name in page.sections for image in page.images(name))


def test_masks_and_points_are_drawn(report, maker):
    image = data.coffee()
    mask = maker.disc(image.shape[:2], (200, 300), 100)
    page = report([maker.row("a", "coffee", objects=[maker.found("cup", mask, 0.8)])], ["cup"])
    (drawn,) = page.images("Highest scores")
    plain = np.asarray(PIL.Image.fromarray(image).resize(drawn.shape[1::-1])).astype(int)
    change = np.abs(drawn - plain).mean(axis=2)
    inside = np.asarray(PIL.Image.fromarray(mask).resize(drawn.shape[1::-1]))
    assert change[inside].mean() > 20
    outside = ~inside
    outside[:20, :20] = False  # a negative point is here
    assert np.median(change[outside]) < 6
    red, green, _ = drawn[2:4, 2:4].reshape(-1, 3).mean(axis=0)
    assert red > green + 80


def test_every_instance_is_drawn_and_counted(report, maker):
    shape = data.moon().shape
    places = [(120, 120), (120, 400), (400, 120), (400, 400)]
    masks = [maker.disc(shape, place, 60) for place in places]
    objects = [maker.found("cat", mask, 0.8, instance=n) for n, mask in enumerate(masks)]
    page = report([maker.row("a", "moon", objects=objects)], ["cat"])
    (drawn,) = page.images("Highest scores")
    scale = drawn.shape[0] / shape[0]
    for y, x in places:
        red, _, blue = drawn[round((y + 30) * scale), round((x + 30) * scale)]
        assert red > blue + 30, "filled in the colour of the concept"
    red, _, blue = drawn[round(260 * scale), round(260 * scale)]
    assert abs(red - blue) < 20
    assert "× 4" in page.sections["Highest scores"]


def test_a_sequence_plays_beside_its_first_frame(report, maker, tmp_path):
    rows = [maker.sequence(str(tmp_path / "run"))]
    page = report(rows, ["cat"], row_is="sequence")
    tiles = page.sections["Highest scores"]
    assert re.findall(r'class="what">([^<]*)<', tiles) == ["frame 0", "frames 0 to 8"]
    (still,) = page.images("Highest scores")
    (encoded,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', tiles)
    film = PIL.Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert film.n_frames == 3, "equal ones that follow each other are one"
    film.seek(0)
    assert film.size == still.shape[1::-1]
    first = np.asarray(film.convert("RGB")).astype(int)
    assert np.abs(first - still).mean() < 8
    film.seek(1)
    bare = np.asarray(film.convert("RGB")).astype(int)
    assert np.abs(bare - first).max() > 40, "nothing is drawn in the third frame"
    assert "9 frames, 2 instances" in tiles
    assert "× 2" in tiles
    assert "in 1 sequence</h1>" in page.html


def test_frames_that_nobody_knows_any_more_are_said_to_be_gone(report, maker, tmp_path):
    rows = [maker.sequence(str(tmp_path / "run"))]
    shutil.rmtree(tmp_path / "run" / "listing")
    page = report(rows, ["cat"], row_is="sequence")
    assert "No image: OutputError: run is a sequence" in page.text
    assert "score 0.80" in page.text


def test_names_from_data_are_escaped(report, maker, quality):
    mask = maker.disc(data.chelsea().shape[:2], (150, 200), 80)
    objects = [maker.found(EVIL, mask, 0.9)]
    gone = {"uri": f"/gone/{EVIL}"}
    rows = [
        maker.row(EVIL, "chelsea", objects=objects, metrics=[maker.metric(EVIL, 0.5)]),
        maker.row(f'"onload="{EVIL}', "chelsea", objects=objects, metrics=[], **gone),
        maker.row("not", "chelsea", objects=objects, metrics=[maker.not_compared(EVIL, EVIL)]),
        failed(maker.row(f"failed {EVIL}", "moon"), EVIL, ImageError(EVIL)),
    ]
    evil = dict.fromkeys(("profile", "method", "images", "config_sha256"), EVIL)
    config = {"images": {}, EVIL: EVIL}
    measured = quality(EVIL, failed=1)
    page = report(rows, [EVIL], measured, **evil, config=config, versions={EVIL: EVIL})
    assert "<script" not in page.html
    assert "script" not in page.tags
    assert page.text.count(EVIL) > 12


def test_a_run_without_ground_truth(report, maker):
    rows = [{**row, "metrics": []} for row in maker.measured()]
    page = report([*rows, maker.row("nothing", "rocket")])
    assert list(page.sections) == [
        *("Prompts", "Results", "Distributions"),
        *("Highest scores", "Lowest scores", "Several concepts", "Nothing found", "Stages"),
    ]
    assert "IoU 0." not in page.text
    assert "no ground truth" in page.text
    assert page.keys("Lowest scores")[:6] == [f"none-{number}" for number in range(6)]
    assert page.keys("Nothing found") == ["nothing"]


def test_comparisons_that_failed_are_listed_and_not_drawn_as_0(report, maker, quality):
    size = data.moon().shape
    objects = [maker.found("cat", maker.disc(size, (200, 200), 50), 0.4)]
    why = "masks/cat/{}.png is 50x50 pixels, its image 512x512"
    bad = [
        maker.row(f"bad-{n}", "moon", objects=objects, metrics=[maker.not_compared("cat", w)])
        for n, w in enumerate(map(why.format, "ab"))
    ]
    page = report([*maker.measured(), *bad], quality=quality("cat", "cup", failed=2))
    assert "2 comparisons with ground truth failed" in page.sections["Results"]
    assert page.sections["Not compared"].count('<td class="message">') == 1, "one group"
    assert "masks/cat/a.png is 50x50" in page.sections["Not compared"]
    for gallery in ("Best", "Worst", "None present"):
        assert not {"bad-0", "bad-1"} & set(page.keys(gallery))


def test_images_that_are_gone_leave_a_gap(report, maker, quality, tmp_path):
    rows = maker.measured()
    for row in rows[::2]:
        row["uri"] = str(tmp_path / "gone.parquet") + "#row=3&column=image"
    page = report(rows, quality=quality("cat", "cup"))
    assert "No image: FileNotFoundError" in page.text
    assert len(page.images("Best")) > 3


def test_a_bank_that_is_gone_leaves_a_gap(report, maker, tmp_path):
    page = report(maker.measured(), bank=str(tmp_path / "earlier" / "bank"))
    assert f"The bank at {tmp_path}/earlier/bank cannot be read" in page.sections["Prompts"]


def test_a_bank_elsewhere_is_read_there(report, maker, tmp_path):
    maker.write_bank(str(tmp_path / "earlier" / "bank"), ["cat", "cup", "not of this run"])
    page = report(maker.measured(), bank=str(tmp_path / "earlier" / "bank"))
    assert "cup.jpg" in page.keys("Prompts")
    assert "not of this run" not in page.text


def test_only_failures_poisoned_rows_among_them(report, maker):
    rows = [failed(maker.row(f"k{i}", "moon"), "decode", CUT) for i in range(30)]
    rows.append(failed(maker.row("p", "moon"), "match", PoisonedRow(3)))
    page = report(rows, ["cat"])
    assert re.search(r"<b>31</b><span>failed of 31", page.html)
    assert "31 rows failed" in page.sections["Failed"]
    assert '<td class="n">30</td><td>decode</td>' in page.sections["Failed"]
    assert "3 workers ended" in page.sections["Failed"]
    assert "Nothing found" not in page.sections


def test_reads_and_writes_any_storage_through_faults(flaky, maker, tmp_path, quality):
    inject, bucket, server = flaky
    rows, concepts = maker.measured()[:9], ["cat", "cup"]
    for out in (f"{bucket}/run", str(tmp_path / "run")):
        maker.write(out, rows, concepts, quality(*concepts))
    write_report(str(tmp_path / "run"))
    inject(0.2)
    write_report(f"{bucket}/run")
    assert sum(server.injected.values()) > 3
    inject(0.0)
    assert read_bytes(f"{bucket}/run/report.html") == read_bytes(str(tmp_path / "run/report.html"))


def test_a_run_that_is_going_on_is_reported_as_far_as_it_is(maker, page, tmp_path):
    out = str(tmp_path)
    rows = maker.measured()
    for metric in (m for row in rows for m in row["metrics"]):
        metric |= {"class_id": 1 + (metric["concept"] == "cup"), "score": 0.5}
    maker.write(out, rows, ["cat", "cup"])
    manifest = Manifest.read(out)
    manifest.runs[-1]["finished"] = None
    manifest.write()
    (tmp_path / "metrics.json").unlink()
    write_shards(
        out, [Shard("0", "listed", "", "", 20, "f"), Shard("1", "listed", "", "", 30, "f")]
    )
    found = page(write_report(out))
    assert "18 of 50 images were written by" in found.text
    assert "Stages" not in found.sections
    assert len(found.keys("Best")) == 8
    for part in tmp_path.glob("data/shard=*/part-*"):
        part.unlink()
    with pytest.raises(OutputError, match=r"nothing is written to .* yet"):
        write_report(out)


def test_what_is_not_drawn_is_said(report, maker):
    mask = maker.disc(data.moon().shape, (200, 200), 50)
    scores = {"cat": 0.9, "cup": 0.2, "hat": 0.15, "fan": 0.05, "dog": 0.01}
    objects = [maker.found(concept, mask, score) for concept, score in scores.items()]
    page = report([maker.row("a", "moon", objects=objects)], list(scores))
    assert "left out: cup 0.20, hat 0.15, fan 0.05 and 1 more" in page.sections["Highest scores"]
    row = r'class="n">(\d+)</td>\s*<td class="n" title="[^"]*">([\d.]+|absent)</td>'
    assert re.findall(row, page.sections["Results"]) == [
        *[("1", "0.500")],
        *[("0", "absent")] * 4,
    ], "only the cat is convincing"


def test_random_weights_are_said_in_red(report, maker):
    rows = [maker.row("a", "moon")]
    page = report(rows, ["cat"], random_weights=["sam_vit_h_4b8939.pth"])
    assert '<p class="alarm">RANDOM WEIGHTS, masks and scores mean nothing: sam_vit_h' in page.html
    assert 'class="alarm"' not in report(rows, ["cat"]).html


def test_an_unreadable_run_is_an_error(maker, tmp_path):
    with pytest.raises(OutputError, match=r"manifest\.json"):
        write_report(str(tmp_path))
    maker.write(str(tmp_path), maker.measured(), ["cat", "cup"])
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(OutputError, match=r"metrics\.json: cannot be read"):
        write_report(str(tmp_path))
    content = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(content | {"schema_version": "2"}))
    with pytest.raises(OutputError, match="version 2 of the run format"):
        write_report(str(tmp_path))
