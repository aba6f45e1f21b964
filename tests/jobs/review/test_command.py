"""The command `ipseg review` itself."""

import socket
import subprocess
import sys


def test_no_run_an_unknown_order_and_an_unknown_concept(ipseg, made, tmp_path):
    code, _, errors = ipseg("review", tmp_path)
    assert code == 1
    assert "no manifest.json" in errors
    code, _, errors = ipseg("review", tmp_path, "--order", "sideways")
    assert code == 2
    assert "use one of uncertain" in errors
    code, _, errors = ipseg("review", made.cups_and_hats("command"), "--concept", "bowl")
    assert code == 2
    assert "it has cup, hat" in errors


def test_a_run_without_objects_has_nothing_to_review(ipseg, made):
    code, _, errors = ipseg("review", made.write("empty", [made.row("a")], ["cup"]))
    assert code == 1
    assert "no objects to review" in errors


def test_a_port_that_is_taken(ipseg, made):
    out = made.cups_and_hats("taken")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, errors = ipseg("review", out, "--port", taken.getsockname()[1])
    assert code == 1
    assert "choose another --port" in errors


def test_without_the_extra_it_says_what_to_install(made):
    out = made.cups_and_hats("bare")
    hidden = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['ipseg', 'review', sys.argv[1]]"
    )
    words = [sys.executable, "-c", f"{hidden}; from jobs.cli import main; main()", out]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "ipseg: this needs the package uvicorn: pip install 'ipseg[review]'"
    )
