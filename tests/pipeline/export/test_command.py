"""`ipseg export` on the command line: the table, what is refused, exit codes."""

import json
import sys

import pytest
from PIL import Image

from jobs.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Function: arguments -> (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ipseg", "export", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


def test_a_dry_run_prints_the_table_and_writes_nothing(world, run):
    code, out, _ = run(world.out, "--format", "coco", "--dry-run", "--split", "train=0.5,val=0.5")
    assert code == 0
    assert [words for words in out.splitlines() if "without an object" in words]
    assert "ümlaut <b>" in out
    assert "1 row of the run failed" in out
    assert "nothing was written" in out
    assert {path.name for path in world.root.iterdir()} == {"photos", "run"}


def test_what_was_written_is_said_as_data_too(world, run):
    to = world.root / "yolo"
    code, out, _ = run(world.out, "--format", "yolo-seg", "--to", to, "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["to"], said["images"], said["objects"]) == (str(to), 6, 7)
    assert said["lost"]["objects of several parts, joined by a line"] == 1
    assert (to / "data.yaml").exists()


def test_images_that_cannot_be_read_end_with_3(world, run):
    Image.new("RGB", (50, 50)).save(world.images / "pair.png")
    code, out, _ = run(world.out, "--format", "coco", "--to", world.root / "coco")
    assert code == 3
    assert "1 image could not be exported" in out
    assert "was replaced since" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "coco"], "give --to FOLDER, or --dry-run"),
        (["--format", "tfrecord", "--dry-run"], "unknown format 'tfrecord'"),
        (["--format", "coco", "--dry-run", "--split", "train"], "NAME=SHARE"),
        (["--format", "coco", "--dry-run", "--salt", "x"], "give --split as well"),
        (["--format", "voc", "--dry-run", "--parts", "split"], "voc has no use for --parts"),
        (["--format", "coco", "--dry-run", "--simplify", "2"], "give --segmentation polygon"),
        (
            ["--format", "coco", "--dry-run", "--min-score", "0.5", "--threshold", "suggested"],
            "exclude each other",
        ),
        (
            ["--format", "coco", "--dry-run", "--split", "a=1", "--split-column", "b"],
            "exclude each other",
        ),
        (["--format", "coco", "--dry-run", "--images", "move"], "'move' is not one of"),
    ],
)
def test_wrong_calls_are_refused(world, run, arguments, message):
    code, _, err = run(world.out, *arguments)
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())


def test_a_place_without_a_run_is_said(tmp_path, run):
    code, _, err = run(tmp_path, "--format", "coco", "--dry-run")
    assert code == 1
    assert "no run at" in err
