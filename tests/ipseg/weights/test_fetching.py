"""Downloads from a hub on this machine, in a subprocess because settings are read on import."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

NAME = "owner/model"
FILES = {
    "config.json": b"{}",
    "preprocessor_config.json": b'{"image_mean": [0, 0, 0]}',
    "model.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
    "flax_model.msgpack": b"large and of no use",
}
OLD = {"config.json": b"{}", "pytorch_model.bin": b"not read here"}
CODE = """
import json, sys
from ipseg.errors import WeightsError
from ipseg.networks.models import Models
from ipseg.weights.catalogue import Need, Source
from ipseg.weights.fetching import fetch
from ipseg.weights.finding import check, find
need = Need(("features.dinov2",), sys.argv[1], Source("", None, None))
models = Models(root=sys.argv[2] or None)
try:
    fetch(need, models)
except WeightsError as error:
    print(json.dumps({"error": str(error)}))
else:
    found = find(need, models)
    print(json.dumps({"where": found.where, "revision": found.revision,
        "files": {f.name: f.published for f in found.files}, "faults": check(found).faults}))
assert "torch" not in sys.modules or sys.argv[1] == "owner/old"
"""


def load_hub():
    spec = importlib.util.spec_from_file_location("hub", Path(__file__).with_name("hub.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hub():
    files = {NAME: FILES, "owner/old": OLD, "owner/gated": FILES, "owner/other": {"a.txt": b""}}
    server = load_hub().Hub(files, gated=("owner/gated",))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(home, name, root="", **environment):
    environment = {
        **os.environ,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE, name, str(root)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("rooted", [False, True])
def test_what_is_needed_is_fetched_and_nothing_else(hub, tmp_path, rooted):
    hub.asked.clear()
    found = fetch(tmp_path / "home", NAME, tmp_path / "root" if rooted else "", HF_ENDPOINT=hub.url)
    wanted = set(FILES) - {"flax_model.msgpack"}
    assert set(hub.asked) == wanted
    assert found["where"] == ("folder" if rooted else "hub cache")
    assert found["revision"] == load_hub().COMMIT
    assert set(found["files"]) == wanted
    assert all(len(digest) == 64 for digest in found["files"].values())
    assert found["faults"] == []
    if rooted:
        assert (tmp_path / "root" / NAME / "model.safetensors").is_file()
        return
    offline = fetch(tmp_path / "home", NAME, HF_HUB_OFFLINE="1")
    assert offline["files"] == found["files"]


def test_without_safetensors_the_older_file_is_fetched(hub, tmp_path):
    found = fetch(tmp_path, "owner/old", HF_ENDPOINT=hub.url)
    assert set(found["files"]) == {"config.json", "pytorch_model.bin"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("owner/gated", "accept them at https://huggingface.co/owner/gated"),
        ("owner/none", "no model at"),
        ("owner/other", "config.json, model.safetensors could not be downloaded"),
    ],
)
def test_weights_the_hub_does_not_have_are_one_error(hub, tmp_path, name, words):
    assert words in fetch(tmp_path, name, HF_ENDPOINT=hub.url)["error"]


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_without_a_network_there_is_one_error_with_a_remedy(tmp_path, environment):
    error = fetch(tmp_path, NAME, **environment)["error"]
    assert error.startswith(f"cannot fetch {NAME}: huggingface.co cannot be reached")
    assert "models.root=ROOT" in error
