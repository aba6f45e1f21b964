"""Everything that a notebook may have at hand becomes rows, in order, or a clear error."""

import io
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ipseg.benchmarks.ground_truth import read_ground_truth
from ipseg.errors import ImageError, PromptError
from ipseg.inputs import Prompt, image_rows, is_one_image, prompt_rows
from ipseg.rows import is_failed
from ipseg.runner import run_local
from ipseg.steps.decode import Decode, Read
from ipseg.vision.cut_out import read_cut_out
from ipseg.vision.images import encode_jpeg, encode_png

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
GREY = PIXELS[..., 0].copy()


def decoded(given):
    """(key, pixels) of each row."""
    rows = run_local([Read(), Decode()], image_rows(given))
    return [(row["key"], row.get("image")) for row in rows]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        """Nothing."""


@pytest.fixture
def web(tmp_path):
    """Address of a web server that has the files of `tmp_path`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Tensor:
    """As of torch, jax and others."""

    def __array__(self, dtype=None, copy=None):
        return PIXELS


def test_one_image_has_the_same_pixels_in_whatever_form_it_comes(tmp_path, web):
    (tmp_path / "a b.png").write_bytes(encode_png(PIXELS))
    fsspec.filesystem("memory").pipe({"/inputs/a.png": encode_png(PIXELS)})
    path = tmp_path / "a b.png"
    forms = [
        *(PIXELS, PIXELS / 255, (PIXELS / 255).astype(np.float32), Tensor()),
        *(Image.fromarray(PIXELS), Image.open(path), path.read_bytes()),
        *(bytearray(path.read_bytes()), memoryview(path.read_bytes())),
        io.BytesIO(path.read_bytes()),
        *(path, str(path), f"file://{path}", "memory://inputs/a.png", f"{web}/a%20b.png"),
        f"{web}/a%20b.png?size=full",
    ]
    for number, form in enumerate(forms):
        assert is_one_image(form), number
        ((_, pixels),) = decoded(form)
        np.testing.assert_array_equal(pixels, PIXELS, str(number))
    for form in (GREY, GREY[..., None], Image.fromarray(GREY), GREY / 255):
        np.testing.assert_array_equal(decoded(form)[0][1], np.dstack([GREY] * 3))


@pytest.mark.parametrize("mode", ["1", "P", "L", "CMYK", "YCbCr", "I;16", "F"])
def test_a_pillow_image_is_as_its_file(mode, tmp_path):
    image = Image.fromarray(GREY.astype(np.uint16) * 99) if mode == "I;16" else None
    image = image or Image.fromarray(PIXELS).convert(mode)
    image.save(tmp_path / "a.tif", compression="raw")
    (_, one), (_, other) = decoded([image, tmp_path / "a.tif"])
    np.testing.assert_array_equal(one, other)


def test_a_photo_opened_by_pillow_is_turned_as_its_file_is(tmp_path):
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=turned)
    (_, one), (_, other) = decoded([Image.open(tmp_path / "a.png"), tmp_path / "a.png"])
    np.testing.assert_array_equal(one, other)
    assert one.shape == (30, 20, 3)


def test_alpha_travels(tmp_path):
    cut = np.dstack([PIXELS, np.where(np.arange(30) < 9, 255, 0)[None].repeat(20, 0)])
    palette = Image.fromarray(GREY).convert("P")
    palette.info["transparency"] = int(GREY[0, 0])
    rows = list(image_rows([cut.astype(np.uint8), Image.fromarray(cut.astype(np.uint8)), palette]))
    for row in rows[:2]:
        np.testing.assert_array_equal(read_cut_out(row["image_bytes"]), cut[..., 3] == 255)
    assert not read_cut_out(rows[2]["image_bytes"])[0, 0]


def test_many_come_in_order_with_keys(tmp_path):
    for name in ("b.png", "a.png", "deep/c.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode_png(PIXELS))
    (tmp_path / "notes.txt").write_text("no image")
    one = str(tmp_path / "b.png")

    def keys(given):
        assert not is_one_image(given)
        return [key for key, pixels in decoded(given) if pixels is not None]

    assert keys(tmp_path) == ["a.png", "b.png", "deep/c.PNG"]
    assert keys(f"{tmp_path}/*.png") == ["a.png", "b.png"]
    assert keys([PIXELS, one, PIXELS]) == ["0", one, "2"]
    nested = (each for each in [[PIXELS, PIXELS], tmp_path / "deep", (one, PIXELS)])
    assert keys(nested) == ["0", "1", "deep/c.PNG".removeprefix("deep/"), one, "4"]
    assert keys(pd.Series([one, one])) == [one, one]
    assert keys(np.array([one])) == [one]
    assert keys([]) == keys(iter(())) == []


@pytest.mark.parametrize("literal", ["a[1].png", "no-suffix", "b*.png"])
def test_a_file_that_is_there_is_one_image_whatever_it_is_called(tmp_path, literal):
    (tmp_path / literal).write_bytes(encode_png(PIXELS))
    assert is_one_image(tmp_path / literal)
    assert not is_one_image(tmp_path / "c*.png")
    assert decoded(tmp_path / literal)[0][0] == str(tmp_path / literal)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "images are a path, URL.*not None"),
        (7, "not int"),
        ({"a": PIXELS}, "not dict"),
        ("", "address of the image is empty"),
        (PIXELS[None], r"pixels are \(height, width\).*not \(1, 20, 30, 3\)"),
        (PIXELS.transpose(2, 0, 1), r"not \(3, 20, 30\)"),
        (PIXELS[:0], r"not \(0, 30, 3\)"),
        (PIXELS.astype(float), "from 0 to 1, these are from 0 to 254: scale them, or give uint8"),
        (PIXELS / 255 - 0.5, r"these are from -0\.5"),
        (np.full((20, 30), np.nan), "these are from nan to nan"),
        (PIXELS.astype(np.int64), "not int64, of which nobody knows what is white"),
        (PIXELS > 9, "not bool"),
        (Image.fromarray(PIXELS).convert("HSV"), "Pillow image of mode HSV"),
        ("/nowhere/*.png", "no image is there"),
        ("/nowhere", "does not exist"),
    ],
)
def test_what_is_no_image_is_a_failed_row_beside_the_others(wrong, message):
    first, row, last = image_rows([PIXELS, wrong, PIXELS])
    assert not is_failed(first)
    assert not is_failed(last)
    with pytest.raises(ImageError, match=message):
        raise ImageError(row["error_message"])


def test_items_are_taken_when_they_are_asked_for():
    taken = []

    def images():
        for number in range(3):
            taken.append(number)
            yield PIXELS

    rows = image_rows(images())
    assert taken == []
    next(rows)
    assert taken == [0]


@pytest.fixture
def files(tmp_path):
    """`cup.png` with a mask beside it, and `dog/` with two images."""
    (tmp_path / "dog").mkdir()
    for name in ("cup.png", "dog/1.png", "dog/2.png"):
        (tmp_path / name).write_bytes(encode_png(PIXELS))
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 5:9] = 255
    (tmp_path / "cup.mask.png").write_bytes(encode_png(mask))
    return tmp_path


def test_prompts_come_in_as_many_forms(files):
    mask = np.zeros((20, 30), bool)
    mask[3:6, 2:9] = True
    rows = prompt_rows(
        {
            "cup": files / "cup.png",
            "dog": f"{files}/dog",
            "two": [PIXELS, Image.fromarray(PIXELS), f"{files}/dog/2.png"],
            "more": (encode_jpeg(PIXELS) for _ in range(2)),
            "mug": Prompt(files / "cup.png", box=np.array([1, 2, 9, 9])),
            "pen": [Prompt(PIXELS, mask), Prompt(PIXELS, mask.astype(np.uint8) * 9)],
            "hat": Prompt(PIXELS, mask=files / "cup.mask.png", points=(3, 4)),
            "bag": Prompt(files / "cup.png"),
        }
    )
    found = {row["key"]: row for row in rows}
    assert [*found] == [
        *("cup.png", "dog/1.png", "dog/2.png", "two/0", "two/1", "two/2.png"),
        *("more/0", "more/1", "mug/0", "pen/0", "pen/1", "hat/0", "bag/cup.png"),
    ]
    assert {row["concept"] for row in rows} == {
        *["cup", "dog", "two", "more", "mug", "pen", "hat", "bag"]
    }
    beside = f"{files}/cup.mask.png#object"
    assert found["cup.png"]["given_mask"] == found["bag/cup.png"]["given_mask"] == beside
    assert "given_mask" not in found["mug/0"], "a box is given instead of what lies beside"
    assert found["mug/0"]["given_box"] == [1, 2, 9, 9]
    for key in ("pen/0", "pen/1"):
        np.testing.assert_array_equal(read_ground_truth(found[key]["given_mask"]).mask, mask)
    assert found["hat/0"]["given_mask"] == beside
    assert found["hat/0"]["given_points"] == [{"x": 3, "y": 4, "label": 1}]


def test_files_and_folders_name_their_concepts(files):
    by_folder = [(row["key"], row["concept"]) for row in prompt_rows(files)]
    assert by_folder == [("cup.png", "cup"), ("dog/1.png", "dog"), ("dog/2.png", "dog")]
    assert [row["concept"] for row in prompt_rows(str(files / "cup.png"))] == ["cup"]
    listed = prompt_rows(path for path in [files / "cup.png", files / "dog/1.png"])
    assert [row["concept"] for row in listed] == ["cup", "1"]


def test_a_prompt_on_a_web_server(files, web):
    (row,) = prompt_rows(f"{web}/cup.png")
    assert (row["concept"], row["uri"]) == ("cup", f"{web}/cup.png")
    (row,) = prompt_rows({"mug": f"{web}/cup.png?size=full"})
    assert row["concept"] == "mug"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "prompts are {concept: image or images}.*not None"),
        (PIXELS, r"not array of shape \(20, 30, 3\)"),
        ({}, "there is no prompt"),
        ([], "there is no prompt"),
        ({"cup": []}, "'cup' has no prompt image"),
        ({"cup": None}, "prompt cup/0 cannot be used: images are"),
        ({"cup": [PIXELS, {}]}, "prompt cup/1 cannot be used: .* not dict"),
        ({"cup": PIXELS.astype(float)}, "prompt cup/0 cannot be used: pixels of type float64"),
        ({1: PIXELS}, "a concept is named by a text, not by 1"),
        ({"": PIXELS}, "a concept is named by a text, not by ''"),
        ([PIXELS], "does not say its concept"),
        ({"cup": "/nowhere.png"}, "/nowhere.png does not exist"),
        ({"cup": Prompt(PIXELS, mask=np.ones((20, 30)))}, "a mask is .* not .* float64"),
        ({"cup": Prompt(PIXELS, mask=PIXELS)}, r"a mask is .* not \(20, 30, 3\) uint8"),
        ({"cup": Prompt(PIXELS, box=3)}, r"cup/0: a box is"),
        ({"cup": Prompt(PIXELS, box="left")}, r"cup/0: a box is"),
        ({"cup": Prompt(PIXELS, points=[])}, r"cup/0: a point is"),
    ],
)
def test_prompts_that_are_none_are_one_clear_error(wrong, message):
    with pytest.raises(PromptError, match=message):
        prompt_rows(wrong)


def test_a_prompt_is_one_short_line():
    assert repr(Prompt(PIXELS, GREY > 9)) == "<Prompt array of shape (20, 30, 3) with mask>"
    assert repr(Prompt("cup.jpg")) == "<Prompt cup.jpg>"


def test_bytes_of_pixels_are_kept_as_they_are():
    data = io.BytesIO(encode_jpeg(PIXELS)).getvalue()
    (row,) = image_rows(data)
    assert row["image_bytes"] is data
