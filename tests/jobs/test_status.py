"""`ipseg status` and `ipseg errors` as a person or a script meets them."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from ipseg.errors import OutputError
from ipseg.rows import failed
from jobs.commands import errors as errors_module
from jobs.commands import status as status_module
from jobs.commands.errors import errors, group_failures
from jobs.commands.status import status
from pipeline.prompts import STORED
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.sink import Provenance, ShardWriter

app = typer.Typer(rich_markup_mode="rich")
app.command(epilog=status_module.EPILOG)(status)
app.command(epilog=errors_module.EPILOG)(errors)


def ipseg(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def write(out, shard, rows):
    by = Provenance("run-1", "ipseg/classical", "0" * 64, ())
    made = [{"key": k, "shard": shard, "uri": k, "objects": [], "metrics": []} for k in rows]
    made = [row if (e := rows[row["key"]]) is None else failed(row, *e) for row in made]
    return ShardWriter(str(out), by).write(made)


def manifest(out, finished=None):
    started = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    runs = [{"run_id": "run-1", "started": started, "finished": finished}]
    out.mkdir(exist_ok=True)
    (out / "manifest.json").write_text(json.dumps({"schema_version": "4", "runs": runs}))


@pytest.fixture
def run(tmp_path):
    out = tmp_path / "run"
    manifest(out)
    cut = ValueError("image file is truncated (12 bytes not processed)")
    again = ValueError("image file is truncated (7 bytes not processed)")
    slow = TimeoutError("s3://bucket/c.jpg: no answer in 30 s")
    write(out, "a", {"a1": None, "a2": ("decode", cut), "a3": ("decode", again)})
    write(out, "b", {"b1": None, "b2": ("read", slow)})
    write(out, "c", {"c1": None})
    Ledger(str(out), "run-1", "0" * 64).finish_shard("c", 1, "f")
    return out


def test_status_prints_totals_for_people(run):
    result = ipseg("status", run, "--by-shard")
    assert result.exit_code == 0
    for words in (
        "failed",
        "1 of 3 complete",
        "repeated keys",
        "s for each row",
        "stopped a moment ago",
    ):
        assert words in result.stdout


def test_status_prints_one_json_object_for_scripts(run):
    result = ipseg("status", run, "--json", "--by-shard")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["rows"] == {"ok": 0, "empty": 3, "failed": 3, "poisoned": 0, "gone": 0}
    assert found["done"] == 6
    assert found["repeated_keys"] == 0
    assert found["shards"] == {"complete": 1, "all": 3}
    assert [shard["shard"] for shard in found["by_shard"]] == ["a", "b", "c"]
    assert found["rows_per_second"] > 0


def test_repeated_keys_are_a_failure(run):
    write(run, "b", {"b1": None, "b3": None})
    result = ipseg("status", run)
    assert result.exit_code == 1
    assert "start the same command again" in " ".join(result.stdout.replace("│", " ").split())
    result = ipseg("status", run, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["repeated_keys"] == 1


@pytest.mark.parametrize("command", ["status", "errors"])
def test_a_place_without_a_run_is_an_error(tmp_path, command):
    result = ipseg(command, tmp_path)
    assert result.exit_code == 1
    assert isinstance(result.exception, OutputError)
    assert f"no run at {tmp_path}" in str(result.exception)


@pytest.mark.parametrize("command", ["status", "errors"])
def test_damaged_files_are_named_and_the_rest_is_shown(run, command):
    (run / "data/shard=a" / "part-0000000000000000.parquet").write_bytes(b"nothing")
    (run / "finished/b.json").write_text("{")
    result = ipseg(command, run)
    assert result.exit_code == 0
    assert result.stdout.count("cannot be read") == 2
    problems = json.loads(ipseg(command, run, "--json").stdout)["problems"]
    assert len(problems) == 2


def test_watching_ends_when_the_run_does(run):
    def finish():
        manifest(run, finished=datetime.now(UTC).isoformat())

    timer = threading.Timer(0.5, finish)
    timer.start()
    result = ipseg("status", run, "--watch", 0.2)
    timer.join()
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if " rows, " in line]
    assert len(lines) >= 2
    assert lines[0].startswith("unknown: 6 of about 6 rows, 3 failed")
    assert lines[-1].startswith("finished: 6 of about 6 rows")
    assert "finished at" in result.stdout


def test_watching_as_data_prints_one_object_a_line(run):
    manifest(run, finished=datetime.now(UTC).isoformat())
    lines = ipseg("status", run, "--watch", 1, "--json").stdout.splitlines()
    assert [json.loads(line)["repeated_keys"] for line in lines] == [None, 0]


@pytest.mark.parametrize("verb", ["status", "errors"])
def test_a_folder_of_another_version_is_refused_and_not_taken_for_empty(run, verb):
    content = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(content | {"schema_version": "2"}))
    refused = ipseg(verb, run)
    assert refused.exit_code
    assert "was written in version 2 of the run format" in str(refused.exception)
    assert "look at it with the one that wrote it" in str(refused.exception)


def test_errors_are_grouped_by_what_went_wrong(run):
    found = json.loads(ipseg("errors", run, "--json").stdout)
    assert found["failed"] == 3
    assert [(g["count"], g["stage"], g["type"], g["message"]) for g in found["groups"]] == [
        (2, "decode", "ValueError", "image file is truncated (<n> bytes not processed)"),
        (1, "read", "TimeoutError", "<url> no answer in <n> s"),
    ]
    first = found["groups"][0]
    assert first["retry"] == "failed:ValueError"
    assert {each["key"] for each in first["examples"]} == {"a2", "a3"}


def test_errors_say_how_to_try_again(run):
    result = ipseg("errors", run)
    assert result.exit_code == 0
    assert "--retry failed:ValueError,TimeoutError" in result.stdout
    assert "(12" in result.stdout, "a message as it was"
    assert "<n>" not in result.stdout
    assert "a2" in result.stdout


def test_errors_can_be_narrowed_and_limited(run):
    assert json.loads(ipseg("errors", run, "--stage", "read", "--json").stdout)["failed"] == 1
    assert json.loads(ipseg("errors", run, "--type", "KeyError", "--json").stdout)["failed"] == 0
    assert "no row failed" in ipseg("errors", run, "--type", "KeyError").stdout
    few = json.loads(ipseg("errors", run, "--limit", 1, "--examples", 1, "--json").stdout)
    assert (len(few["groups"]), few["groups_left_out"]) == (1, 1)
    assert len(few["groups"][0]["examples"]) == 1
    assert "1 more groups" in ipseg("errors", run, "--limit", 1).stdout


def test_a_key_that_stands_there_twice_failed_once(run):
    write(run, "b", {"b2": ("read", TimeoutError("again")), "b4": None})
    assert group_failures(str(run), type="TimeoutError").rows.count == 1


def test_shards_without_failures_are_not_read(run):
    (part,) = (run / "data/shard=c").glob("part-*.parquet")
    part.write_bytes(b"nothing")
    assert group_failures(str(run)).problems == []


def test_comparisons_and_settings_that_failed_are_listed_apart(tmp_path):
    asked = {"concept": "cup", "frame": 0, "error_message": None}
    ok, bad = ({**asked, "status": status, "variant": "a"} for status in ("ok", "failed"))
    bad["error_message"] = "cup/1.png is 50x50 pixels, its image 64x48"
    lost = {"chain": "b", "error_stage": "match", "error_type": "ValueError", "error_message": "no"}
    of_b = {**asked, "status": "failed", "variant": "b", "error_message": "no"}  # says it again
    row = {"shard": "s", "uri": "x", "objects": []}
    rows = [
        {**row, "key": "1", "metrics": [ok, bad], "chain_errors": []},
        {**row, "key": "2", "metrics": [ok, of_b], "chain_errors": [lost]},
        {**row, "key": "3", "metrics": [ok], "chain_errors": []},
    ]
    ShardWriter(str(tmp_path), Provenance("run-1", "m", "0" * 64, ())).write(rows)
    Ledger(str(tmp_path), "run-1", "0" * 64).finish_shard("s", 3, "f")
    found = json.loads(ipseg("errors", tmp_path, "--json").stdout)
    assert (found["failed"], found["failed_parts"]) == (0, 2)
    groups = [(g["stage"], g["type"], g["examples"][0]["key"]) for g in found["groups_of_parts"]]
    assert groups == [("judge", "", "1"), ("match", "ValueError", "2")]
    printed = ipseg("errors", tmp_path).stdout
    assert "no row failed" in printed
    assert "--retry failed\n" in printed
    assert (
        json.loads(ipseg("errors", tmp_path, "--stage", "judge", "--json").stdout)["failed_parts"]
        == 1
    )


def test_prompts_have_no_comparisons_and_are_listed_too(tmp_path):
    row = {"key": "cup.jpg", "shard": "0", "uri": "cup.jpg", "concept": "cup"}
    writer = ShardWriter(str(tmp_path), Provenance("run-1", "m", "0" * 64, ()), STORED)
    writer.write([failed(row, "support", ValueError("no object"))])
    found = json.loads(ipseg("errors", tmp_path, "--json").stdout)
    assert (found["failed"], found["problems"]) == (1, [])


def test_nothing_in_a_key_or_message_steers_the_terminal(tmp_path):
    write(tmp_path, "a", {"\x1b[2J[red]k\nk": ("decode", ValueError("\x1b]0;x\x07[bold]!"))})
    result = ipseg("errors", tmp_path)
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout
    assert "[red]k" in result.stdout
    assert "[bold]!" in result.stdout


@pytest.mark.parametrize("command", ["status", "errors"])
def test_help_has_examples(command):
    assert f"ipseg {command} masks/" in ipseg(command, "--help").stdout
