import numpy as np
import pytest

from ipseg.bank import PromptBank
from ipseg.config import load_config
from ipseg.errors import PromptError
from ipseg.methods import create_method
from ipseg.prompts import check_prompts, find_prompts
from ipseg.runner import prepare, run_local
from ipseg.vision.images import ImageLimits, encode_jpeg, encode_png
from ipseg.vision.masks import decode_rle


@pytest.fixture(scope="module")
def config():
    return load_config("classical")


@pytest.fixture(scope="module")
def described(prompt_folder, config):
    steps = create_method(config).prompt_steps()
    prepare(steps)
    return list(run_local(steps, find_prompts(str(prompt_folder))))


def test_concepts_are_files_or_folders_and_masks_stand_beside(prompt_folder):
    rows = find_prompts(str(prompt_folder))
    assert [(r["concept"], r["key"]) for r in rows] == [("cat", "cat/1.jpg"), ("cup", "cup.jpg")]
    assert rows[0]["mask_bytes"] is not None
    assert rows[1]["mask_bytes"] is None


def test_a_bank_comes_back_from_its_file(described, config, tmp_path):
    bank = create_method(config).bank(described)
    (tmp_path / "bank.parquet").write_bytes(bank.to_parquet())
    again = PromptBank.read(str(tmp_path / "bank.parquet"))
    again.check_settings(config, "bank")
    assert again.names == bank.names == ("cat", "cup")
    assert [concept.category_id for concept in again.concepts] == [1, 2]
    assert again.prompt_ids == bank.prompt_ids
    for old, new in zip(bank.concepts, again.concepts, strict=True):
        for kind, arrays in old.description.items():
            for name, array in arrays.items():
                assert np.array_equal(array, new.description[kind][name])
    assert bank.to_parquet() == again.to_parquet()


def test_the_order_of_prompt_rows_does_not_matter(described, config):
    method = create_method(config)
    assert method.bank(described).to_parquet() == method.bank(described[::-1]).to_parquet()


def test_the_given_mask_is_used_as_it_is(described, config):
    prompts = create_method(config).bank(described).concepts[0].prompts
    assert prompts[0]["mask_source"] == "given"
    rows, columns = np.nonzero(decode_rle(prompts[0]["mask"]))
    assert (columns.min(), columns.max()) == (40, 260)
    assert (rows.min(), rows.max()) >= (0, 190)


def test_a_bank_of_other_settings_is_refused(described, config):
    bank = create_method(config).bank(described)
    bank.check_settings(load_config("classical", ["points.k=8"]), "bank")
    with pytest.raises(PromptError, match="other saliency or feature settings"):
        bank.check_settings(load_config("classical", ["images.min_side=8"]), "bank")


def test_several_prompts_of_one_concept_make_one_entry(config, photos, tmp_path):
    (tmp_path / "cup").mkdir()
    for name, image in {"a": photos["cup"], "b": photos["cup"][:, ::-1].copy()}.items():
        (tmp_path / "cup" / f"{name}.jpg").write_bytes(encode_jpeg(image))
    steps = create_method(config).prompt_steps()
    prepare(steps)
    bank = create_method(config).bank(list(run_local(steps, find_prompts(str(tmp_path)))))
    assert bank.names == ("cup",)
    assert [p["key"] for p in bank.concepts[0].prompts] == ["cup/a.jpg", "cup/b.jpg"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no prompt image in"),
        ({"a.txt": b""}, "no prompt image in"),
        ({"cup/deep/a.jpg": b""}, "lies too deep"),
        ({"cup.mask.png": b""}, "has no prompt image beside it"),
        ({"cup.jpg": b"text"}, "cup.jpg cannot be used: not an image"),
        ({"cup.jpg": b""}, r"cup.jpg cannot be used: the file is empty"),
    ],
)
def test_unusable_prompts_are_one_clear_error(tmp_path, files, message):
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(PromptError, match=message):
        check_prompts(find_prompts(str(tmp_path)), ImageLimits())


def test_a_missing_folder_and_a_file_in_its_place(tmp_path):
    with pytest.raises(PromptError, match="does not exist"):
        find_prompts(str(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    with pytest.raises(PromptError, match="is a file"):
        find_prompts(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((9, 9), np.uint8), "the mask of .* is 9x9 pixels, the picture"),
        (None, "is empty: no pixel is non-zero"),
    ],
)
def test_a_wrong_mask_is_refused(config, photos, tmp_path, mask, message):
    image = photos["cup"]
    (tmp_path / "cup.jpg").write_bytes(encode_jpeg(image))
    blank = np.zeros(image.shape[:2], np.uint8)
    (tmp_path / "cup.mask.png").write_bytes(encode_png(blank if mask is None else mask))
    steps = create_method(config).prompt_steps()
    prepare(steps)
    rows = list(run_local(steps, find_prompts(str(tmp_path))))
    with pytest.raises(PromptError, match=message):
        create_method(config).bank(rows)


def test_no_file_but_a_bank_is_read_as_a_bank(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"nonsense")
    for name in ("x.parquet", "missing.parquet"):
        with pytest.raises(PromptError, match="cannot read prompt bank"):
            PromptBank.read(str(tmp_path / name))
