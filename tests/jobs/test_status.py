"""`ipseg status` and `ipseg errors` as a person or a script meets them."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ipseg.errors import OutputError
from ipseg.rows import failed
from jobs.commands import errors as errors_module
from jobs.commands import status as status_module
from jobs.commands.errors import errors, group_failures, normalise
from jobs.commands.status import status
from pipeline.runfolder.ledger import Ledger
from pipeline.runfolder.sink import Provenance, ShardWriter

app = typer.Typer(rich_markup_mode="rich")
app.command(epilog=status_module.EPILOG)(status)
app.command(epilog=errors_module.EPILOG)(errors)


def ipseg(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def write(out, shard, rows):
    by = Provenance("run-1", "ipseg/classical", "0" * 64, ())
    made = [{"key": k, "shard": shard, "uri": k, "objects": []} for k in rows]
    made = [row if (e := rows[row["key"]]) is None else failed(row, *e) for row in made]
    return ShardWriter(str(out), by, ("objects",)).write(made)


def manifest(out, finished=None):
    started = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    runs = [{"run_id": "run-1", "started": started, "finished": finished}]
    out.mkdir(exist_ok=True)
    (out / "manifest.json").write_text(json.dumps({"schema_version": "2", "runs": runs}))


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
    for words in ("failed", "1 of 3 complete", "repeated keys", "rows/s", "stopped a moment ago"):
        assert words in result.stdout


def test_status_prints_one_json_object_for_scripts(run):
    result = ipseg("status", run, "--json", "--by-shard")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["rows"] == {"ok": 0, "empty": 3, "failed": 3, "poisoned": 0}
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
    (run / "shard=a" / "part-0000000000000000.parquet").write_bytes(b"nothing")
    (run / "shard=b" / "_SUCCESS.json").write_text("{")
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
    groups, _ = group_failures(str(run), type="TimeoutError")
    assert sum(group.count for group in groups) == 1


def test_shards_without_failures_are_not_read(run):
    (part,) = (run / "shard=c").glob("part-*.parquet")
    part.write_bytes(b"nothing")
    assert group_failures(str(run))[1] == []


def test_messages_beyond_the_most_are_counted_together(tmp_path, monkeypatch):
    monkeypatch.setattr(errors_module, "MOST_GROUPS", 3)
    rows = {f"k{i}": ("decode", ValueError("x" * (i + 1))) for i in range(10)}
    write(tmp_path, "a", rows)
    groups, _ = group_failures(str(tmp_path))
    assert {group.message: group.count for group in groups}[errors_module.OTHER] == 7


def test_nothing_in_a_key_or_message_steers_the_terminal(tmp_path):
    write(tmp_path, "a", {"\x1b[2J[red]k\nk": ("decode", ValueError("\x1b]0;x\x07[bold]!"))})
    result = ipseg("errors", tmp_path)
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout
    assert "[red]k" in result.stdout
    assert "[bold]!" in result.stdout


@pytest.mark.parametrize(
    ("messages", "same"),
    [
        (["cannot read /data/a/1.jpg", "cannot read /data/b/22.jpg"], True),
        (["no row 7 in x.parquet", "no row 81 in y.parquet"], True),
        (["cannot open s3://a/b.tar#member=1", "cannot open gs://c"], True),
        (["<File object at 0x7f3a>", "<File object at 0x7fb1>"], True),
        (["etag 3f2a77bc01 differs", "etag 99aa00ff12 differs"], True),
        (["took 1.5 s", "took 2 s"], True),
        (["file is truncated", "file is empty"], False),
        (["width is 3", "height is 3"], False),
    ],
)
def test_messages_are_compared_without_what_differs_from_row_to_row(messages, same):
    assert (len({normalise(message) for message in messages}) == 1) == same


@given(st.text(max_size=500))
def test_any_message_can_be_normalised(message):
    once = normalise(message)
    assert not any(c in "0123456789" for c in once)


@pytest.mark.parametrize("command", ["status", "errors"])
def test_help_has_examples(command):
    assert f"ipseg {command} masks/" in ipseg(command, "--help").stdout
