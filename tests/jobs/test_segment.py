"""What a run prints at its end."""

import pytest

from ipseg.errors import ConfigError
from jobs.commands.options import config_of
from jobs.segment import print_run
from pipeline.segment import Run


def ended(
    convincing, *, rows=None, before=0, per_second=2.4, row_is="image", ignored=None, random=()
):
    rows = {"ok": 12, "empty": 0, "failed": 0, "poisoned": 0} | (rows or {})
    suggested = {
        name: {"convincing": number, "threshold": 0.53 if number else None}
        for name, number in convincing.items()
    }
    metrics = {
        **{"rows": rows, "rows_before": before, "seconds": 20.0, "images_per_second": per_second},
        **{"suggested": suggested, "ignored_files": ignored or {}, "quality": None},
        "random_weights": random,
    }
    return Run("my run", rows, metrics, (), row_is)


@pytest.fixture
def printed(capsys):
    def lines(*given, **more):
        print_run(ended(*given, **more), as_json=False)
        return capsys.readouterr().out.splitlines()

    return lines


def test_the_last_lines_say_what_came_of_it_and_where_to_look(printed):
    assert printed({"cat": 1, "cup": 7, "dog": 0}, ignored={".txt": 1}) == [
        "12 images in 20.0 s, 2.4 images/s: 12 ok",
        "convincing, by thresholds that the scores suggest: 'cup' in 7 images (from 0.53), "
        "'cat' in 1 image (from 0.53)",
        "no image is convincing for 'dog'",
        "1 file left out: 1 .txt",
        "masks: my run/data",
        "report: `ipseg report 'my run'` writes my run/report.html; "
        "`ipseg show 'my run' --sample 24`",
    ]


def test_random_weights_are_said(printed):
    lines = printed({"cup": 1}, random=["sam.pth"])
    assert lines[2] == "RANDOM WEIGHTS, masks and scores mean nothing: sam.pth"


def test_failures_name_the_command_that_says_why(printed):
    first = printed({"cup": 1}, rows={"ok": 1, "failed": 2, "poisoned": 1})[0]
    assert first.endswith("1 ok, 2 failed, 1 poisoned (why: `ipseg errors 'my run'`)")
    assert first.startswith("4 images in ")


def test_a_run_with_nothing_left_to_do_has_no_speed(printed):
    first = printed({"cup": 12}, before=12, per_second=0.0)[0]
    assert first == "12 images, 12 of them finished before, in 20.0 s: 12 ok"
    assert printed({"cup": 1}, rows={"ok": 1}, per_second=0.02)[0].startswith(
        "1 image in 20.0 s, 50 s for each image: 1 ok"
    )


def test_sequences_are_called_so_and_many_concepts_are_cut(printed):
    lines = printed({f"c{n:02}": 0 for n in range(25)}, row_is="sequence")
    assert lines[0].startswith("12 sequences in ")
    assert lines[1].startswith("no sequence is convincing for 'c00', 'c01',")
    assert lines[1].endswith("'c19' and 5 more")


@pytest.mark.parametrize(
    ("instances", "settings", "mode"),
    [
        (None, None, "each"),
        ("one", None, "one"),
        ("each", None, "each"),
        (None, ["instances.mode=one"], "one"),
        ("each", ["instances.mode=one"], "one"),
    ],
)
def test_each_instance_is_looked_for_unless_told_otherwise(instances, settings, mode):
    given = {"profile": "classical", "method": None, "support": None}
    config = config_of({**given, "settings": settings, "instances": instances})
    assert config.method.instances.mode == mode


def test_a_method_without_instances_says_so():
    given = {"profile": "persam", "method": None, "support": None, "settings": None}
    assert config_of({**given, "instances": None}).method_name == "persam"
    with pytest.raises(ConfigError, match="unknown setting 'instances'"):
        config_of({**given, "instances": "each"})
