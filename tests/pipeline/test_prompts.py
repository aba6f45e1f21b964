"""Prompts into a bank, once; and whether a bank fits those who want to use it."""

import json
import shutil

import pytest

from ipseg.config import load_config
from ipseg.errors import ConfigError, PromptError
from ipseg.methods.chain import prompt_chains
from ipseg.storage.files import read_bytes
from pipeline.prompts import bank_identity, check_bank
from pipeline.runfolder.bank import bank_rows
from pipeline.runfolder.parts import part_files, read_rows


@pytest.fixture
def notes(tmp_path):
    """Folder in which `tint` notes what it works on; and the setting that says so."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def noted(notes, what):
    file = notes / what
    return file.read_text().splitlines() if file.exists() else []


def test_prompts_are_described_once_however_often_the_run_is_started(painted, notes):
    setting = f"notes={notes}"
    _, first = painted.segment("run", setting)
    _, second = painted.segment("run", setting)
    assert second == first
    assert sorted(noted(notes, "prompts")) == ["blue.png", "red.png"]
    assert sorted(noted(notes, "images")) == ["a.png", "b.png", "d.png", "deep/c.png", "e.png"]


def test_a_run_that_is_stopped_while_it_describes_goes_on_where_it_was(painted, notes):
    names = [f"red/{number:02}" for number in range(40)]
    for name in names:
        painted.prompt("red", name)
    setting = f"notes={notes}"
    (notes / "stop").write_text("red/20.png\n")
    with pytest.raises(KeyboardInterrupt):
        painted.segment("run", setting)
    bank = f"{painted.root}/run/bank"
    written = {row["key"] for row in bank_rows(bank)}
    assert len(written) == 20, "five batches: a whole part, and one of what was done besides"
    (notes / "stop").unlink()
    (notes / "prompts").unlink()
    _, rows = painted.segment("run", setting)
    again = noted(notes, "prompts")
    assert sorted(again) == sorted({"blue.png", "red.png", *(f"{n}.png" for n in names)} - written)
    assert rows == painted.segment("whole", setting)[1]


def test_a_run_that_is_stopped_in_the_images_describes_nothing_again(painted, notes):
    setting = (f"notes={notes}", "runtime.part_rows=1", "runtime.batch_size=1")
    (notes / "stop").write_text("d.png\n")
    with pytest.raises(KeyboardInterrupt):
        painted.segment("run", *setting)
    done = noted(notes, "images")
    assert 0 < len(done) < 5
    (notes / "stop").unlink()
    _, rows = painted.segment("run", *setting)
    assert len(noted(notes, "prompts")) == 2
    assert len(noted(notes, "images")) == 5, "and no image either"
    assert rows == painted.segment("whole", *setting)[1]


def test_a_prompt_that_failed_is_tried_again_when_the_run_is_started_again(painted, notes):
    setting = f"notes={notes}"
    (notes / "fail").write_text("red.png\n")
    with pytest.raises(PromptError, match=r"red\.png cannot be used: .* the network is away"):
        painted.segment("run", setting)
    (notes / "fail").unlink()
    (notes / "prompts").unlink()
    run, _ = painted.segment("run", setting)
    assert run.counts["ok"] == 3
    assert noted(notes, "prompts") == ["red.png"], "the other one was kept"


def test_a_bank_serves_other_runs_wherever_it_is(painted):
    _, rows = painted.segment("first")
    made = painted.root / "first"
    for bank in (made, made / "bank"):
        _, found = painted.segment(f"with-{bank.name}", bank=str(bank))
        assert {key: objects(row) for key, row in found.items()} == {
            key: objects(row) for key, row in rows.items()
        }
    assert not (painted.root / "with-first" / "bank").exists(), "it is used where it is"
    moved = made.rename(painted.root / "moved")
    run, _ = painted.segment("with-first", bank=str(moved))
    assert run.metrics["rows_before"] == 5, "a moved bank is the same bank"


def test_the_rows_of_a_bank_say_which_settings_they_were_made_with(painted):
    painted.segment("run")
    bank = f"{painted.root}/run/bank"
    wanted = json.loads(read_bytes(f"{bank}/manifest.json"))["config_sha256"]
    assert {row["config_sha256"] for row in read_rows(bank, ["config_sha256"])} == {wanted}


def test_a_run_does_not_go_on_with_a_bank_of_other_prompts(painted):
    painted.segment("first")
    painted.segment("run", bank=f"{painted.root}/first")
    painted.prompt("red", colour="green")
    painted.segment("second")
    with pytest.raises(ConfigError, match=r"prompts\.bank: "):
        painted.segment("run", bank=f"{painted.root}/second")


def objects(row):
    """What was found, and what it was found with."""
    return row["objects"], row["row_status"], row["prompt_ids"]


def refusal(folder, config):
    with pytest.raises(PromptError) as refused:
        check_bank(str(folder), config)
    return str(refused.value)


def test_a_bank_of_other_settings_is_refused_by_their_names(painted):
    painted.segment("run")
    bank = painted.root / "run" / "bank"
    check_bank(str(bank), painted.config("near=9", "runtime.batch_size=1")), "not of prompts"
    text = refusal(bank, painted.config("gain=0.5", "support=none"))
    assert f"the bank {bank} was made with other settings" in text
    assert "\n  prompt.colour.gain: 1.0 -> 0.5\n" in text
    assert '\n  prompt.support.kind: "mask" -> "none"\n' in text
    with pytest.raises(PromptError, match=r"prompt\.colour\.gain: 1\.0 -> 0\.5"):
        painted.segment("other", "gain=0.5", bank=str(painted.root / "run"))
    assert not (painted.root / "other").exists(), "before anything is written"


def test_a_bank_of_another_method_is_refused_by_its_name(painted):
    painted.segment("run")
    bank = painted.root / "run" / "bank"
    text = refusal(bank, painted.config("method=tint:TintByMedian"))
    assert f"the bank {bank} was made for method tint:Tint; method tint:TintByMedian keeps" in text
    assert "take profile 'tint', with which it was made" in text
    assert "->" not in text, "how the two differ inside helps nobody"


def test_a_method_that_describes_prompts_in_the_same_way_may_use_the_bank(painted):
    painted.segment("run")
    check_bank(str(painted.root / "run/bank"), painted.config("method=tint:TintInSequences"))


def test_a_bank_of_several_chains_serves_no_single_one(painted):
    painted.segment("run")
    file = painted.root / "run" / "bank" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["identity"]["chain 0"] = manifest["identity"].pop("prompt")
    file.write_text(json.dumps(manifest))
    assert "described in several ways" in refusal(file.parent, painted.config())


def test_a_bank_of_other_weights_is_refused_by_their_name(painted):
    painted.segment("run")
    file = painted.root / "run" / "bank" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["identity"]["weights"] = {"facebook/dinov2-small": {"model.safetensors": "0" * 64}}
    file.write_text(json.dumps(manifest))
    text = refusal(file.parent, painted.config())
    assert (
        f'weights.facebook/dinov2-small: {{"model.safetensors": "{"0" * 64}"}} -> nothing' in text
    )


def test_a_bank_is_bound_to_weights_in_a_folder_of_ones_own(tiny_root, tmp_path):
    own = tmp_path / "diffusion"
    shutil.copytree(tiny_root / "stable-diffusion-v1-5/stable-diffusion-v1-5", own)
    config = load_config(
        "ipseg", [f"models.root={tiny_root}", f"features.stable_diffusion.weights={own}"]
    )
    found = bank_identity(prompt_chains({"": config}), config)["weights"]
    assert set(found) == {"cornet_rgb_duts_tr.pth", "facebook/dinov2-base", str(own)}
    assert "unet/diffusion_pytorch_model.safetensors" in found[str(own)]
    assert not any("sam" in name for name in found), "no prompt goes through it"


def test_what_is_no_bank_is_refused(painted):
    text = refusal(painted.root / "prompts", painted.config())
    assert "is no bank: give the run folder of an earlier run" in text
    with pytest.raises(PromptError, match="either prompt images or a prompt bank"):
        painted.segment("run", bank=None)


def test_each_prompt_can_be_read_without_its_neighbours(painted):
    import pyarrow.parquet as pq

    painted.segment("run")
    parts = part_files(f"{painted.root}/run/bank")
    for part in parts:
        metadata = pq.read_metadata(part)
        assert metadata.num_row_groups == metadata.num_rows


def test_a_prompt_that_was_refused_may_be_corrected(painted, notes):
    (notes / "fail").write_text("red.png\n")
    with pytest.raises(PromptError, match=r"red\.png cannot be used"):
        painted.segment("run", f"notes={notes}")
    (notes / "fail").unlink()
    painted.prompt("red", "red")
    file = painted.root / "prompts" / "red.png"
    file.write_bytes(file.read_bytes() + b"\0")  # the same image in another file
    _, rows = painted.segment("run", f"notes={notes}")
    assert rows
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match=r"prompts\.red\.red\.png"):
        painted.segment("run", f"notes={notes}")
