"""What the server of the review answers, without a browser."""

import json

import pytest

from jobs.review.guard import Door


def test_nobody_comes_in_without_the_token(client):
    stranger = client.stranger()
    for route in ("/", "/api/about", "/page/app.js", "/image/x/0/0", "/?token=wrong"):
        assert stranger.get(route).status_code == 403, route
    entered = stranger.get(f"/?token={client.door.token}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    page = stranger.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    assert "style=" not in page.text


@pytest.mark.parametrize("host", ["evil.example:8765", "127.0.0.1:80", "127.0.0.1", ""])
def test_another_host_name_is_refused(client, host):
    assert client.http.get("/api/about", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_posts_of_other_pages_are_refused(client, origin):
    answer = client.http.post("/api/decisions", json={}, headers={"origin": origin})
    assert answer.status_code == 403


def test_a_host_in_the_network_is_known_by_its_numbers_not_by_any_name():
    door = Door("0.0.0.0", 8765)  # noqa: S104
    assert door.knows("192.168.1.7:8765")
    assert not door.knows("evil.example:8765")
    assert not door.loopback


def test_orders_and_filters(client):
    uncertain = [each["score"] for each in client.items(concept="cup")]
    assert uncertain == sorted(uncertain, key=lambda score: abs(score - 0.5))
    assert client.items(order="highest", concept="hat")[0]["score"] == 0.9
    lowest = client.items(order="lowest", least=0.25, most=0.35, concept="cup")
    assert [each["key"] for each in lowest] == ["007.jpg", "008.jpg", "009.jpg"]
    assert {each["key"] for each in client.items(key="00")} == {f"00{n}.jpg" for n in range(10)}
    drawn = [[each["o"] for each in client.items(order="random", who=who)] for who in "aab"]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == sorted(drawn[2])
    assert client.get("items", order="sideways").status_code == 400
    assert client.get("items", concept="bowl").status_code == 400


def test_pages_go_on_where_the_last_one_ended_whatever_is_decided_meanwhile(client):
    first = client.get("items", size=10).json()
    client.post(*(client.about(each, "accept") for each in first["items"][:5]))
    second = client.get("items", size=100, after=first["after"]).json()
    seen = [each["o"] for each in (*first["items"], *second["items"])]
    assert sorted(seen) == list(range(40))
    assert second["left"] == 0
    assert len(client.items(size=100)) == 35


def test_images_are_found_by_number_alone(client):
    version = client.get("about").json()["version"]
    image = client.http.get(f"/image/{version}/0/0")
    assert image.headers["content-type"] == "image/jpeg"
    assert client.http.get(f"/crop/{version}/0").status_code == 200
    for wrong in (
        *(f"/image/{version}/99/0", f"/image/{version}/0/9", f"/crop/{version}/99"),
        *("/image/old/0/0", "/crop/old/0", "/page/../server.py", "/page/%2e%2e/server.py"),
        *(f"/image/{version}/../0", f"/crop/{version}/-1"),
    ):
        assert client.http.get(wrong).status_code == 404, wrong


def test_an_image_that_has_moved_is_said_to_be_missing(made, client_of):
    out = made.write("moved", [made.row("a", [made.found("cup", 0.5)], uri="/gone.jpg")], ["cup"])
    client = client_of(out)
    version = client.get("about").json()["version"]
    assert client.http.get(f"/crop/{version}/0").status_code == 404
    assert client.get("objects", o=0).status_code == 200


def test_a_deep_link_finds_its_object(client):
    found = client.get("find", key="003.jpg", object=1).json()
    assert (found["key"], found["concept"]) == ("003.jpg", "hat")
    for wrong in ({"key": "nowhere"}, {"key": "003.jpg", "object": 2}):
        assert client.get("find", **wrong).status_code == 404


def test_names_reach_the_page_as_they_are(made, client_of):
    name = "<script>alert(1)</script>\"'\n"
    out = made.write("hostile", [made.row(name, [made.found(name, 0.5)])], [name])
    answer = client_of(out).get("items")
    assert answer.headers["content-type"] == "application/json"
    (item,) = json.loads(answer.text)["items"]
    assert (item["key"], item["concept"]) == (name, name)
