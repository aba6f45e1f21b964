"""From a run over its review to a second run with accepted masks as prompts."""

import io

import numpy as np
import PIL.Image
import pytest
from starlette.testclient import TestClient

from jobs.review.guard import Door
from jobs.review.index import read_index
from jobs.review.server import Server
from pipeline.runfolder.parts import read_rows

BASE = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def first(tmp_path_factory, painted, command):
    """A finished run over three images that have a coloured box each."""
    folder = tmp_path_factory.mktemp("rounds")
    for n in range(3):
        painted(folder / f"images/{n}.jpg", {1: (10 + 4 * n, 12, 34 + 4 * n, 36)})
    labels = painted(folder / "prompts/cup.jpg", {1: (20, 10, 44, 34)})
    PIL.Image.fromarray((labels > 0).astype(np.uint8) * 255).save(folder / "prompts/cup.mask.png")
    words = ("--images", folder / "images", "--engine", "local", "--profile", "classical")
    given = ("--prompts", folder / "prompts", "--out", folder / "run")
    assert command("segment", *words, *given) == 0
    return folder, words


@pytest.fixture(scope="module")
def client(first):
    door = Door("127.0.0.1", 8765)
    app = Server(read_index(str(first[0] / "run")), "ann").app(door)
    client = TestClient(app, base_url=BASE)
    client.headers["origin"] = BASE
    client.get(f"/?token={door.token}")
    return client


def test_similarity_maps_are_made_with_the_method_of_the_run(client):
    version = client.get("/api/about").json()["version"]
    answer = client.get(f"/similarity/{version}/0")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == client.get(f"/similarity/{version}/0").content
    (item,) = client.get("/api/objects", params={"o": 0}).json()["objects"]
    x, y, w, h = item["box"]
    with PIL.Image.open(io.BytesIO(answer.content)) as image:
        bright = np.asarray(image.resize(item["size"])).astype(float).sum(axis=2)
    inside = bright[int(y) : int(y + h), int(x) : int(x + w)].mean()
    assert inside > 2 * bright[:6].mean()


def test_accepted_masks_are_prompts_of_a_second_run(first, client, command):
    folder, words = first
    for item in client.get("/api/items").json()["items"][:2]:
        (whole,) = client.get("/api/objects", params={"o": item["o"]}).json()["objects"]
        named = {name: whole[name] for name in ("key", "concept", "instance", "mask")}
        accept = {**named, "id": f"{item['o']:016x}", "decision": "accept"}
        assert client.post("/api/decisions", json={"decisions": [accept]}).json()["saved"]
        assert client.post("/api/prompt", json={**named, "on": True}).json()["prompt"]
    given = ("--prompts", folder / "run/accepted", "--out", folder / "second")
    assert command("segment", *words, *given) == 0
    found = {
        row["key"]: [each["concept"] for each in row["objects"]]
        for row in read_rows(str(folder / "second"), ["objects"])
    }
    assert len(found) == 3
    assert all(set(concepts) == {"cup"} for concepts in found.values())


def test_a_run_whose_bank_is_gone_says_so(made):
    out = made.cups_and_hats("no-bank")
    door = Door("127.0.0.1", 8765)
    client = TestClient(Server(read_index(out), "ann").app(door), base_url=BASE)
    client.get(f"/?token={door.token}")
    version = client.get("/api/about").json()["version"]
    answer = client.get(f"/similarity/{version}/0")
    assert answer.status_code == 503
    assert "bank" in answer.json()["error"]
