"""The report: one file, nothing remote, everything escaped, whatever the run looks like."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco
from skimage import data, draw

from ipseg.errors import OutputError
from jobs.report.charts import histogram, mirrored
from jobs.report.survey import BINS, Top, survey
from jobs.report.write import readable_bytes, readable_duration, write_report

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img", "br", "link", "input", "hr"}

RLE = pa.struct([("size", pa.list_(pa.int32(), 2)), ("counts", pa.string())])
POINT = pa.struct([("x", pa.float32()), ("y", pa.float32()), ("label", pa.int8())])
FLOATS = (
    *("score", "predicted_iou", "presence"),
    *("similarity_max", "similarity_inside", "similarity_outside"),
)
OBJECT = pa.struct(
    [
        ("concept", pa.string()),
        ("category_id", pa.int32()),
        ("bbox", pa.list_(pa.float32(), 4)),
        ("area", pa.float32()),
        ("iscrowd", pa.int8()),
        ("segmentation", RLE),
        *((name, pa.float32()) for name in FLOATS),
        ("status", pa.string()),
        ("points", pa.list_(POINT)),
    ]
)
METRIC = pa.struct(
    [
        ("concept", pa.string()),
        ("present", pa.bool_()),
        ("intersection", pa.int64()),
        ("union", pa.int64()),
        ("iou", pa.float32()),
    ]
)
ROW = pa.schema(
    [
        ("key", pa.string()),
        ("uri", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("row_status", pa.string()),
        ("error_stage", pa.string()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("objects", pa.list_(OBJECT)),
        ("metrics", pa.list_(METRIC)),
    ]
)
PROMPT = pa.struct(
    [
        ("key", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mask", RLE),
        ("mask_source", pa.string()),
        ("warning", pa.string()),
        ("thumbnail", pa.binary()),
    ]
)
BANK = pa.schema(
    [("concept", pa.string()), ("category_id", pa.int32()), ("prompts", pa.list_(PROMPT))]
)


class Page(HTMLParser):
    """Collects what the tests ask about, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.images: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"handler {name} on {tag}"
            if name in {"src", "href", "srcset", "action", "data", "xlink:href"}:
                self.addresses.append(value or "")
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"nothing open for </{tag}>"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[draw.disk(centre, radius, shape=size)] = True
    return mask


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def found(concept: str, mask: np.ndarray, score: float) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    return {
        "concept": concept,
        "category_id": 1,
        "bbox": [float(columns.min()), float(rows.min()), 10.0, 10.0],
        "area": float(mask.sum()),
        "iscrowd": 0,
        "segmentation": rle(mask),
        **dict.fromkeys(FLOATS, score),
        "status": "auto",
        "points": [
            {"x": float(columns.mean()), "y": float(rows.mean()), "label": 1},
            {"x": 3.0, "y": 3.0, "label": 0},
        ],
    }


def metric(concept: str, iou: float | None) -> dict[str, Any]:
    union = 0 if iou is None else 1000
    return {
        "concept": concept,
        "present": iou is not None,
        "intersection": round(union * (iou or 0)),
        "union": union,
        "iou": iou,
    }


def row(key: str, uri: str, image: np.ndarray, **columns: Any) -> dict[str, Any]:
    height, width = image.shape[:2]
    blank = {"row_status": "ok", "error_stage": None, "error_type": None, "error_message": None}
    given = {"key": key, "uri": uri, "width": width, "height": height, "objects": [], "metrics": []}
    return {**given, **blank, **columns}


def jpeg(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(image).save(stream, "JPEG")
    return stream.getvalue()


def write_run(
    out: str, rows: list[dict[str, Any]], concepts: list[str], quality: dict[str, Any] | None = None
) -> None:
    fs, root = fsspec.core.url_to_fs(out)
    fs.makedirs(root, exist_ok=True)
    counts = dict.fromkeys(("ok", "empty", "failed", "poisoned"), 0)
    for each in rows:
        counts[each["row_status"]] += 1
    stages = [("decode", 1.25, 0.0, 31_000.0), ("match", 4.5, 14_400.0, 31_000.0)]
    manifest = {
        "profile": "classical",
        "method": "ipseg",
        "config": {"method": "ipseg", "points": {"k": 32}},
        "config_sha256": "ab" * 32,
        "versions": {"ipseg": "0.1.0"},
        "concepts": concepts,
        "images": "s3://bucket/photos/*.parquet",
        "runs": [
            {
                "run_id": "20260101T000000-abcdef01",
                "started": "2026-01-01T00:00:00+00:00",
                "finished": "2026-01-01T00:02:05+00:00",
                "counts": counts,
            }
        ],
    }
    metrics = {
        "rows": counts,
        "seconds": 125.0,
        "images_per_second": 12.5,
        "stages": [
            {
                "stage": stage,
                "rows": len(rows),
                "seconds": seconds,
                "bytes_per_row": per_row,
                "image_bytes_per_row": picture,
            }
            for stage, seconds, per_row, picture in stages
        ],
        "quality": quality,
        "baselines": {"all foreground": 0.31, "centre ellipse": 0.25} if quality else None,
    }
    photo = data.chelsea()
    prompts = [
        {
            "concept": concept,
            "category_id": number,
            "prompts": [
                {
                    "key": f"{concept}.jpg",
                    "sha256": "00" * 32,
                    "width": photo.shape[1],
                    "height": photo.shape[0],
                    "mask": rle(disc(photo.shape[:2], (150, 200), 90)),
                    "mask_source": "given" if number == 1 else "saliency",
                    "warning": "covers nearly nothing" if number == 2 else None,
                    "thumbnail": jpeg(np.asarray(PIL.Image.fromarray(photo).resize((320, 213)))),
                }
            ],
        }
        for number, concept in enumerate(concepts, start=1)
    ]
    for name, content in (("manifest", manifest), ("metrics", metrics)):
        fs.pipe_file(f"{root}/{name}.json", json.dumps(content).encode())
    files = {"prompt_bank": pa.Table.from_pylist(prompts, BANK)}
    for part, start in enumerate(range(0, len(rows), 7)):
        table = pa.Table.from_pylist(rows[start : start + 7], ROW)
        files[f"shard={part % 2}/part-{part:016x}"] = table
    for name, table in files.items():
        fs.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        with fs.open(f"{root}/{name}.parquet", "wb") as file:
            pq.write_table(table, file)


def quality_of(concepts: list[str]) -> dict[str, Any]:
    each = {"mean_iou": 0.5, "present": 3, "average_precision": None}
    return {
        "mean_iou": 0.512,
        "pairs": 6,
        "average_precision": 0.75,
        "concepts": {concept: {**each} for concept in concepts},
    }


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    written = {}
    for name in ("chelsea", "coffee", "rocket", "moon"):
        image = getattr(data, name)()
        written[name] = folder / f"{name}.jpg"
        PIL.Image.fromarray(image).convert("RGB").save(written[name])
    return written


def measured_rows(pictures: dict[str, Path], concepts: list[str]) -> list[dict[str, Any]]:
    cat, cup = concepts
    image = data.chelsea()
    size = image.shape[:2]
    rows = []
    for number in range(12):
        first, second = disc(size, (150, 120), 60 + number), disc(size, (120, 330), 40)
        objects = [found(cat, first, 0.9 - number / 20), found(cup, second, 0.3)]
        truth = [metric(cat, 1 - number / 12), metric(cup, 0.4 if number % 3 == 0 else None)]
        uri = str(pictures["chelsea"])
        rows.append(row(f"cat-{number:02d}", uri, image, objects=objects, metrics=truth))
    for number in range(6):
        moon = data.moon()
        objects = [found(cup, disc(moon.shape, (200, 200), 50), number / 50)]
        truth = [metric(cat, None), metric(cup, None)]
        uri = str(pictures["moon"])
        rows.append(row(f"none-{number}", uri, moon, objects=objects, metrics=truth))
    return rows


def read_page(out: Path) -> tuple[str, Page]:
    text = (out / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"<h2>(.*?)</h2>", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_measured_run(tmp_path: Path, pictures: dict[str, Path]):
    concepts = ["cat", "cup"]
    rows = measured_rows(pictures, concepts)
    problem = {"error_stage": "decode", "error_type": "ImageError", "error_message": "cut off"}
    rows.append(row("broken", "x.jpg", np.zeros((1, 1)), row_status="failed", **problem))
    write_run(str(tmp_path), rows, concepts, quality_of(concepts))
    assert write_report(str(tmp_path)) == f"{tmp_path}/report.html"
    text, page = read_page(tmp_path)

    found_sections = sections(text)
    assert list(found_sections) == [
        *("Prompts", "Results", "Distributions"),
        *("Best", "Worst", "Several concepts", "None present", "Failed", "Stages"),
    ]
    assert "0.512" in page.text
    assert "all foreground" in found_sections["Results"]
    assert "covers nearly nothing" in found_sections["Prompts"]
    assert "cut off" in found_sections["Failed"]
    assert "1 × ImageError in decode" in found_sections["Failed"]
    assert "14.4 kB" in found_sections["Stages"]
    assert "abababababababab" in page.text

    shown = {
        name: re.findall(r'class="key" title="([^"]*)"', part)
        for name, part in found_sections.items()
    }
    assert shown["Best"][0] == "cat-00"
    assert shown["Worst"] == [f"cat-{number:02d}" for number in (11, 10, 9, 8, 6, 3, 0, 7)]
    assert sorted(shown["Several concepts"]) == ["cat-00", "cat-03", "cat-06", "cat-09"]
    assert shown["None present"] == [f"none-{number}" for number in (5, 4, 3, 2, 1, 0)]


def test_one_file_and_nothing_remote(tmp_path: Path, pictures: dict[str, Path]):
    concepts = ["cat", "cup"]
    write_run(str(tmp_path), measured_rows(pictures, concepts), concepts, quality_of(concepts))
    before = {path.name for path in tmp_path.iterdir()}
    write_report(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} - before == {"report.html"}
    text, page = read_page(tmp_path)
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?://", text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    for address in set(page.images):
        encoded = base64.b64decode(address.partition(",")[2])
        with PIL.Image.open(io.BytesIO(encoded)) as picture:
            picture.load()
            assert max(picture.size) <= 460


def test_masks_and_points_are_drawn(tmp_path: Path, pictures: dict[str, Path]):
    image = data.coffee()
    mask = disc(image.shape[:2], (200, 300), 100)
    rows = [row("a", str(pictures["coffee"]), image, objects=[found("cup", mask, 0.8)])]
    write_run(str(tmp_path), rows, ["cup"])
    write_report(str(tmp_path))
    text, _ = read_page(tmp_path)
    address = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', sections(text)["Highest scores"])
    drawn = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(address[0])))).astype(int)
    plain = np.asarray(PIL.Image.fromarray(image).resize(drawn.shape[1::-1])).astype(int)
    change = np.abs(drawn - plain).mean(axis=2)
    inside = np.asarray(PIL.Image.fromarray(mask).resize(drawn.shape[1::-1]))
    assert change[inside].mean() > 20
    outside = ~inside
    outside[:20, :20] = False  # a negative point stands here
    assert np.median(change[outside]) < 6
    red, green, _ = drawn[2:4, 2:4].reshape(-1, 3).mean(axis=0)
    assert red > green + 80


def test_names_from_data_are_escaped(tmp_path: Path, pictures: dict[str, Path]):
    image = data.chelsea()
    mask = disc(image.shape[:2], (150, 200), 80)
    problem = {"error_stage": EVIL, "error_type": EVIL, "error_message": EVIL}
    rows = [
        row(EVIL, str(pictures["chelsea"]), image, objects=[found(EVIL, mask, 0.9)]),
        row(f'"onload="{EVIL}', f"/gone/{EVIL}", image, objects=[found(EVIL, mask, 0.9)]),
        row(f"failed {EVIL}", EVIL, image, row_status="failed", **problem),
    ]
    for each in rows[:2]:
        each["metrics"] = [metric(EVIL, 0.5)]
    write_run(str(tmp_path), rows, [EVIL], quality_of([EVIL]))
    for name in ("manifest", "metrics"):
        path = tmp_path / f"{name}.json"
        content = json.loads(path.read_text())
        if name == "manifest":
            content |= dict.fromkeys(("profile", "method", "images"), EVIL)
            content["runs"][0]["run_id"] = EVIL
            content |= {"versions": {EVIL: EVIL}, "config": {EVIL: EVIL}}
        else:
            content["baselines"] = {EVIL: 0.1}
            content["stages"][0]["stage"] = EVIL
        path.write_text(json.dumps(content))
    write_report(str(tmp_path))
    text, page = read_page(tmp_path)
    assert "<script" not in text
    assert "script" not in page.tags
    assert page.text.count(EVIL) > 12


def test_run_without_ground_truth(tmp_path: Path, pictures: dict[str, Path]):
    rows = measured_rows(pictures, ["cat", "cup"])
    for each in rows:
        each["metrics"] = None
    rows.append(row("nothing", str(pictures["rocket"]), data.rocket(), row_status="empty"))
    write_run(str(tmp_path), rows, ["cat", "cup"])
    write_report(str(tmp_path))
    text, page = read_page(tmp_path)
    assert list(sections(text)) == [
        *("Prompts", "Results", "Distributions"),
        *("Highest scores", "Lowest scores", "Several concepts", "Nothing found", "Stages"),
    ]
    assert "IoU 0." not in page.text
    assert "no ground truth" in page.text
    keys = re.findall(r'class="key" title="([^"]*)"', sections(text)["Lowest scores"])
    assert keys[:6] == [f"none-{number}" for number in range(6)]


def test_picture_that_is_gone(tmp_path: Path, pictures: dict[str, Path]):
    rows = measured_rows(pictures, ["cat", "cup"])
    for each in rows[::2]:
        each["uri"] = str(tmp_path / "gone.parquet") + "#row=3&column=image"
    write_run(str(tmp_path), rows, ["cat", "cup"], quality_of(["cat", "cup"]))
    write_report(str(tmp_path))
    _, page = read_page(tmp_path)
    assert "No picture: FileNotFoundError" in page.text
    assert len(page.images) > 4


def test_only_failures(tmp_path: Path):
    problem = {"error_stage": "decode", "error_type": "ImageError", "error_message": "no picture"}
    rows = [
        row(f"k{i}", "x", np.zeros((1, 1)), row_status="failed", width=None, height=None, **problem)
        for i in range(30)
    ]
    write_run(str(tmp_path), rows, ["cat"])
    write_report(str(tmp_path))
    _, page = read_page(tmp_path)
    assert "30 × ImageError in decode" in page.text
    assert "12 of them" in page.text


def test_reads_and_writes_any_filesystem(pictures: dict[str, Path]):
    image = data.chelsea()
    mask = disc(image.shape[:2], (150, 200), 80)
    rows = [row("a", str(pictures["chelsea"]), image, objects=[found("cat", mask, 0.9)])]
    write_run("memory://run-of-report-test", rows, ["cat"])
    address = write_report("memory://run-of-report-test/")
    with fsspec.open(address, "rb") as file:
        Page(file.read().decode())


def test_unfinished_run_is_an_error(tmp_path: Path):
    with pytest.raises(OutputError, match=r"manifest\.json"):
        write_report(str(tmp_path))


def test_rows_written_twice_count_once(tmp_path: Path, pictures: dict[str, Path]):
    rows = measured_rows(pictures, ["cat", "cup"])[:7]
    write_run(str(tmp_path), rows, ["cat", "cup"])
    part = next((tmp_path / "shard=0").iterdir())
    (tmp_path / "shard=0" / "part-again.parquet").write_bytes(part.read_bytes())
    assert survey(str(tmp_path)).counts == {"ok": 7}


def test_survey_does_not_depend_on_order(tmp_path: Path, pictures: dict[str, Path]):
    rows = measured_rows(pictures, ["cat", "cup"])
    write_run(str(tmp_path / "a"), rows, ["cat", "cup"])
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    write_run(str(tmp_path / "b"), shuffled, ["cat", "cup"])
    first, second = survey(str(tmp_path / "a")), survey(str(tmp_path / "b"))
    for choice in ("best", "worst", "several", "none_present", "nothing_found"):
        keys = [[place.key for place in getattr(each, choice)()] for each in (first, second)]
        assert keys[0] == keys[1], choice


@given(st.lists(st.floats(-1, 1), max_size=40), st.integers(1, 10))
def test_top_keeps_the_largest(values: list[float], size: int):
    top = Top(size)
    for number, value in enumerate(values):
        top.add(value, f"{number:03d}", value)
    assert top.items() == sorted(values, reverse=True)[:size]


@given(st.lists(st.integers(0, 1000), min_size=BINS, max_size=BINS))
def test_bars_stay_in_the_chart(counts: list[int]):
    bars = histogram(np.array(counts))
    assert [bar.count for bar in bars] == [count for count in counts if count]
    assert all(0 < bar.height <= 1 for bar in bars)
    assert all(bar.low == bar.x for bar in bars)
    both = mirrored([np.array(counts), np.array(counts)], [])
    assert both.up_total == 2 * sum(counts)
    assert both.down == []


def test_readable_units():
    assert [readable_bytes(n) for n in (0, 999, 14_400, 3e6, 5e12)] == [
        *("0 B", "999 B", "14.4 kB", "3.0 MB", "5000.0 GB")
    ]
    assert [readable_duration(n) for n in (0.25, 59.94, 60, 125, 7322)] == [
        *("0.2 s", "59.9 s", "1 min 00 s", "2 min 05 s", "2 h 02 min")
    ]
