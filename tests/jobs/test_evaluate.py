"""`ipseg evaluate` as a person meets it: interrupted, with damaged files, called wrongly."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.runfolder.bank import bank_rows

SMALL = str(Path(__file__).parents[1] / "small.yaml")
QUICK = ("--profile", SMALL, "--engine", "local")
SMALL_STEPS = ("--set", "runtime.part_rows=1", "--set", "runtime.batch_size=1")
DAMAGED = ("images/cup/03.jpg", "masks/cup/05.png", "images/fan/00.jpg")


@pytest.fixture(scope="module")
def collection(tmp_path_factory, painted):
    """Ten cups of which the first is shown, and two hats and two fans."""
    root = tmp_path_factory.mktemp("collection")
    for label, (name, count) in enumerate({"cup": 11, "fan": 2, "hat": 2}.items(), start=1):
        for n in range(count):
            place = (6 + 3 * n, 8 + 2 * (n % 5), 28 + 3 * n, 32 + 2 * (n % 5))
            labels = painted(root / f"images/{name}/{n:02}.jpg", {label: place})
            (root / f"masks/{name}").mkdir(parents=True, exist_ok=True)
            Image.fromarray((labels > 0).astype(np.uint8)).save(root / f"masks/{name}/{n:02}.png")
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory, collection, command):
    """A run that nothing happens to."""
    out = tmp_path_factory.mktemp("whole")
    words = ("evaluate", "folder", "--data-root", collection, "--out", out)
    assert command(*words, *QUICK, *SMALL_STEPS) == 0
    return out


def results(out: Path) -> list[dict]:
    return pq.read_table(out / "results.parquet").to_pylist()


def test_killed_half_way_and_started_again_it_comes_to_the_same_numbers(
    collection, whole, tmp_path, command
):
    out = tmp_path / "run"
    words = ["evaluate", "folder", "--data-root", str(collection), "--out", str(out)]
    words += [*QUICK, *SMALL_STEPS]
    process = subprocess.Popen([sys.executable, "-m", "jobs.cli", *words], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while len(list(out.glob("data/shard=*/part-*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    written = len(list(out.glob("data/shard=*/part-*.parquet")))
    assert 3 <= written < 12
    assert not (out / "summary.json").exists()

    assert command(*words) == 0
    assert (out / "summary.json").read_bytes() == (whole / "summary.json").read_bytes()
    assert results(out) == results(whole)
    stages = json.loads((out / "evaluation.json").read_text())["stages"]
    rows = {stage["stage"]: stage["rows"] for stage in stages}
    assert rows["match"] == 12 - written, "what was done is not done again"


def test_every_query_is_looked_at_once(whole):
    stages = json.loads((whole / "evaluation.json").read_text())["stages"]
    assert {s["stage"]: s["rows"] for s in stages}["match"] == len(results(whole)) == 12


def test_damaged_files_make_a_partial_result_until_they_are_repaired(
    collection, whole, tmp_path, ipseg
):
    root, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(collection, root)
    for name in DAMAGED:
        (root / name).write_bytes((root / name).read_bytes()[:60])
    words = ("evaluate", "folder", "--data-root", root, "--out", out, *QUICK, *SMALL_STEPS)
    code, text, _ = ipseg(*words)
    assert code == 3
    assert "PARTIAL: 3 of 12 episodes failed" in text
    assert "9 of 12" in text
    assert "PARTIAL: 3 of 12 episodes failed" in (out / "report.html").read_text()
    failed = {r["query"]: r["error_message"] for r in results(out) if r["status"] == "failed"}
    assert failed.keys() == {"images/cup/03.jpg", "images/cup/05.jpg", "images/fan/01.jpg"}
    assert "masks/cup/05.png" in failed["images/cup/05.jpg"]
    assert "images/fan/00.jpg cannot be used" in failed["images/fan/01.jpg"]
    (variant,) = json.loads((out / "summary.json").read_text())["variants"]
    coverage = {"total": 12, "ok": 9, "failed": 3, "missing": 0, "partial": True}
    assert variant["coverage"] == coverage

    code, _, _ = ipseg(*words)
    assert code == 3, "what failed is not tried again unless that is asked for"
    for name in DAMAGED:
        shutil.copy(collection / name, root / name)
    code, text, err = ipseg(*words, "--retry", "failed")
    assert code == 0
    assert "1 prompt described, 2 before" in err
    assert results(out) == results(whole)
    again = json.loads((out / "summary.json").read_text())
    assert again["variants"] == json.loads((whole / "summary.json").read_text())["variants"]
    stages = json.loads((out / "evaluation.json").read_text())["stages"]
    assert {s["stage"]: s["rows"] for s in stages}["match"] == 3


def test_other_settings_in_the_same_folder_are_refused_by_name(collection, whole, ipseg):
    words = ("evaluate", "folder", "--data-root", collection, "--out", whole, *QUICK)
    code, _, err = ipseg(*words, "--set", "points.k=8")
    assert code == 2
    assert "points.k: 32 -> 8" in err
    code, _, err = ipseg(*words, "--limit", "5")
    assert code == 2
    assert "episodes.count: 12 -> 5" in err
    code, _, err = ipseg(*words, "--support", "mask")
    assert code == 2
    assert 'support.kind: "saliency" -> "mask"' in err


def test_starting_over_leaves_nothing_of_the_run_before(collection, tmp_path, ipseg):
    words = ("evaluate", "folder", "--data-root", collection, "--out", tmp_path, *QUICK)
    words += ("--limit", "1")
    code, text, _ = ipseg(*words, "--sweep", "matching.grid=40,60")
    assert code == 0
    assert "matching.grid=40" in text
    assert {r["variant"] for r in results(tmp_path)} == {"matching.grid=40", "matching.grid=60"}
    code, _, err = ipseg(*words)
    assert code == 2
    assert "start over with --overwrite" in err
    assert ipseg(*words, "--overwrite")[0] == 0
    assert [r["variant"] for r in results(tmp_path)] == [""]


def test_methods_and_profiles_are_columns_of_one_table(collection, tiny_root, tmp_path, ipseg):
    code, text, _ = ipseg(
        *("evaluate", "folder", "--data-root", collection, "--out", tmp_path, "--limit", "2"),
        *("--profile", "ipseg-light,persam,persam-f", "--engine", "local", "--json"),
        *("--set", f"models.root={tiny_root}", "--set", "runtime.batch_size=1"),
        *("--support", "mask"),
    )
    assert code == 0
    found = json.loads(text)
    first, *others = found["variants"]
    assert [v["label"] for v in (first, *others)] == ["ipseg-light", "persam", "persam-f"]
    assert first["difference"] is None
    assert all(each["difference"]["episodes"] == 2 for each in others)
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    read = {s["stage"]: s["rows"] for s in evaluation["stages"]}["read"]
    assert read == 2, "an image is read once for all"
    costs = found["costs"]
    # What PerSAM-F finds encoded by PerSAM it would have to encode itself.
    assert {n: each["encoded"] for n, each in costs.items()} == {
        **{"ipseg-light": 2, "persam": 1, "persam-f": 1}
    }
    assert {each["images"] for each in costs.values()} == {2}
    assert all(each["seconds"] > 0 for each in costs.values())
    weights = (tiny_root / "sam_vit_h_4b8939.pth").stat().st_size
    assert costs["persam"]["memory"] > 0.9 * weights
    names = ["facebook/dinov2-small", "sam_vit_b_01ec64.pth", "sam_vit_h_4b8939.pth"]
    assert evaluation["random_weights"] == names
    assert "RANDOM WEIGHTS" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("foldr",), "unknown benchmark 'foldr'; did you mean 'folder'?"),
        (("folder", "--prompt-rule", "randm"), "no sampling rule 'randm'; it has 'first'"),
        (("folder", "--prompt-rule", "random:x"), "the seed is no number"),
        (("folder", "--fold", "3"), "folder has no fold '3'"),
        (("folder", "--formula", "Q"), "unknown formula 'Q'"),
        (("folder", "--formula", "JF"), "compares outlines, which folder does not"),
        (("folder", "--profile", "clasical"), "did you mean 'classical'?"),
        (("folder", "--method", "x"), "unknown method 'x'"),
        (("folder", "--set", "points.kk=3"), "did you mean 'points.k'?"),
        (("folder", "--seed", "-1"), "seed is -1"),
        (("folder", "--engine", "dask"), "use auto, ray or local"),
        (("folder", "points.k=3"), "settings go behind --sweep"),
        (("folder", "--sweep", "points.k"), "is not of the form"),
        (("folder", "--sweep", "points.k=8,8"), "named twice"),
        (("folder", "--retry", "all"), "--retry 'all' is not of the form"),
        (("folder", "--table", "4"), "has no numbers of folder; it has coco-20i, fss-1000, perseg"),
        (("folder", "--table", "8"), "tables 1-7 of the paper are"),
        (("folder", "--table", "2"), "it has coco-stuff, pascal-voc, pascal-context"),
        (("folder", "--support", "mask,mask"), "named twice"),
        (("perseg", "--table", "4", "--sweep", "points.k=8"), "either --sweep or --paper-table"),
        (("perseg", "--table", "5"), "perseg has no rule 'prompt-set'"),
        (("perseg", "--table", "3"), "are the same; it is about the parts of profile 'ipseg'"),
        (("fss-1000", "--table", "5", "--seed", "4"), "with seeds of its own"),
        (("davis-2017", "--fold", "train"), "davis-2017 has no fold 'train'; it has val"),
        (("coco-20i", "--prompt-rule", "sansa"), "cannot be reproduced"),
    ],
)
def test_a_wrong_call_is_one_line_before_any_data_is_read(ipseg, tmp_path, words, message):
    code, out, err = ipseg(
        *("evaluate", *words[:1], "--data-root", tmp_path / "none", "--out", tmp_path / "run"),
        *words[1:],
    )
    assert (code, out) == (2, "")
    assert message in err
    assert err.splitlines()[-1].startswith("ipseg: ")
    assert not (tmp_path / "run").exists()


def test_no_run_folder_is_a_wrong_call_and_no_data_is_not(ipseg, collection, tmp_path):
    assert ipseg("evaluate", "folder")[0] == 2
    words = ("evaluate", "folder", "--out", tmp_path / "run")
    code, _, err = ipseg(*words, "--data-root", tmp_path / "none")
    assert code == 1
    assert f"no images/, masks/ in {tmp_path}/none" in err
    code, _, err = ipseg(*words, "--data-root", collection, "--shot", "3")
    assert code == 1
    assert "images/fan has 2 image(s), too few for 3 prompts" in err
    code, _, err = ipseg(*words, "--data-root", collection, "--shot", "2")
    assert code == 1
    assert "all of them are prompts" in err


def test_weights_that_are_missing_are_told_before_anything_starts(ipseg, collection, tmp_path):
    import ray

    before = ray.is_initialized()  # another test may have started it
    words = ("evaluate", "folder", "--data-root", collection, "--out", tmp_path / "run")
    code, _, err = ipseg(*words, "--profile", "ipseg", "--set", f"models.root={tmp_path}")
    assert code == 1
    assert "`ipseg weights fetch ipseg`" in err
    assert ray.is_initialized() == before


def test_the_prompt_sets_of_table_5_are_one_command_and_one_table(miniatures, tmp_path, ipseg):
    miniatures["fss-1000"](tmp_path / "data")
    out = tmp_path / "run"
    words = ("evaluate", "fss-1000", "--data-root", tmp_path / "data", "--out", out, *QUICK)
    code, text, _ = ipseg(*words, "--table", "5", "--limit", "1")
    assert code == 0
    for name, value, seed in (("1", "82.6", 0), ("2", "82.5", 1), ("3", "82.7", 2)):
        (line,) = (line for line in text.splitlines() if f"Prompt Set-{name} " in line)
        assert value in line
        evaluation = json.loads((out / f"ref-{name}/evaluation.json").read_text())
        assert (evaluation["seed"], evaluation["rule"]) == (seed, "prompt-set")
        assert (out / f"ref-{name}/report.html").exists()
    supports = {
        pq.read_table(out / f"ref-{n}/episodes.parquet")["supports"][0].as_py()[0]["key"]
        for n in (1, 2, 3)
    }
    assert len(supports) > 1, "each set is drawn anew"
    assert "were not published" in " ".join(text.split())
    code, text, _ = ipseg(*words, "--table", "5", "--limit", "1", "--json")
    found = json.loads(text)
    assert (code, list(found["sets"])) == (0, ["ref-1", "ref-2", "ref-3"])
    counterpart = found["sets"]["ref-2"]["variants"][0]["counterpart"]
    assert counterpart["value"] == 82.5
    assert counterpart["delta"] is not None


def test_the_rows_of_table_6_run_with_every_real_class(miniatures, tiny_root, tmp_path, ipseg):
    miniatures["perseg"](tmp_path / "data")
    code, text, _ = ipseg(
        *("evaluate", "perseg", "--data-root", tmp_path / "data", "--out", tmp_path / "run"),
        *("--table", "6", "--limit", "1", "--engine", "local", "--json"),
        *("--set", f"models.root={tiny_root}", "--set", "features.dinov2.size=280"),
        *("--set", "features.stable_diffusion.size=256"),
        *("--set", "features.stable_diffusion.crop=192"),
    )
    summary = json.loads(text)
    assert (code, summary["rule"], summary["formula"]) == (0, "ipseg", "B")
    values = {v["label"]: v["counterpart"]["value"] for v in summary["variants"]}
    assert values == {"without TSDN": 50.2, "with TSDN": 92.7, "with ground truth": 93.6}
    (row,) = bank_rows(str(tmp_path / "run/bank"))
    assert {prompt["mask_source"] for prompt in row["prompts"]} == {"mask", "none", "saliency"}
    stages = json.loads((tmp_path / "run/evaluation.json").read_text())["stages"]
    assert {s["stage"]: s["rows"] for s in stages}["match"] == 1, "features are shared"
