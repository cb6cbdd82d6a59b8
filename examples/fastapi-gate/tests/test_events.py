"""A run's progress as server-sent events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import fastapi.routing
import httpx
import pytest

from tests.conftest import RUNS, World, answer, run, status, watched

ONE = RUNS + "/shop-x1"


def events(text: str) -> list[tuple[str, str, Any]]:
    """(event, id, data) of each event of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


async def stream(world: World, **claims: Any) -> list[tuple[str, str, Any]]:
    response = await world.client.get("/runs/shop-x1/events", headers=world.headers(**claims))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events(response.text)


def brief(found: list[tuple[str, str, Any]]) -> list[tuple[str, str, str]]:
    return [(event, id, data.get("phase") or data.get("detail", "")) for event, id, data in found]


def watches(world: World) -> list[httpx.Request]:
    return [r for r in world.cluster.asked if r.url.params.get("watch")]


async def test_events_come_in_order_and_end(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1, "Pending")))
    world.cluster.on(
        "GET",
        RUNS,
        watched(
            ("BOOKMARK", run(2, "Pending")),
            ("MODIFIED", run(3, "Running", progress={"done": 0, "total": 2})),
            ("MODIFIED", run(4, "Running", progress={"done": 0, "total": 2})),
            ("MODIFIED", run(5, "Running", progress={"done": 1, "total": 2})),
            ("MODIFIED", run(6, "Succeeded")),
            ("MODIFIED", run(7, "Succeeded", message="not told any more")),
        ),
    )
    assert brief(await stream(world)) == [
        ("run", "1", "Pending"),
        ("run", "3", "Running"),
        ("run", "5", "Running"),
        ("run", "6", "Succeeded"),
        ("end", "6", "Succeeded"),
    ], "a change that nobody would see is not told"
    asked = watches(world)[0]
    assert asked.url.params["fieldSelector"] == "metadata.name=shop-x1"
    assert asked.url.params["resourceVersion"] == "1"
    assert asked.headers["impersonate-user"] == "oidc:jane@example.com"


async def test_a_run_that_is_over_is_not_watched(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(9, "Failed", message="2 nodes failed")))
    assert brief(await stream(world)) == [("run", "9", "Failed"), ("end", "9", "Failed")]
    assert watches(world) == []


async def test_a_watch_that_ends_is_begun_again_where_it_was(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1)))
    world.cluster.on("GET", RUNS, watched(("BOOKMARK", run(5))), watched(), watched(("MODIFIED", run(6, "Succeeded"))))
    assert brief(await stream(world)) == [("run", "1", "Running"), ("run", "6", "Succeeded"), ("end", "6", "Succeeded")]
    assert [r.url.params["resourceVersion"] for r in watches(world)] == ["1", "5", "5"]


def gone_event(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}) + "\n")


async def test_after_410_the_run_is_looked_at_and_watched_from_there(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1)), answer(run(50, progress={"done": 3})), answer(run(70, progress={"done": 4})))
    world.cluster.on("GET", RUNS, gone_event, lambda _: status(410, "Gone", "too old"), watched(("MODIFIED", run(71, "Succeeded"))))
    assert [(e, i) for e, i, _ in await stream(world)] == [("run", "1"), ("run", "50"), ("run", "70"), ("run", "71"), ("end", "71")]
    assert [r.url.params["resourceVersion"] for r in watches(world)] == ["1", "50", "70"]


class Cut(httpx.AsyncByteStream):
    """A body that breaks off after a first part."""

    def __init__(self, first: bytes) -> None:
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        raise httpx.ReadError("connection reset")


async def test_a_watch_that_breaks_off_loses_nothing(world: World) -> None:
    half = json.dumps({"type": "MODIFIED", "object": run(2, progress={"done": 1})}).encode() + b'\n{"type": "MODIF'
    world.cluster.on("GET", ONE, answer(run(1)), answer(run(8, "Succeeded")))
    world.cluster.on("GET", RUNS, lambda _: httpx.Response(200, stream=Cut(half)))
    assert [(e, i) for e, i, _ in await stream(world)] == [("run", "1"), ("run", "2"), ("run", "8"), ("end", "8")]


async def test_an_api_server_that_stays_away_ends_the_stream(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1)), lambda _: status(503, "ServiceUnavailable", "later"))
    world.cluster.on("GET", RUNS, lambda _: status(503, "ServiceUnavailable", "later"))
    assert brief(await stream(world)) == [("run", "1", "Running"), ("problem", "", "later")]
    assert len(world.cluster.asked) < 10, "it does not try for ever"


async def test_a_right_that_is_taken_away_ends_the_stream(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1)))
    world.cluster.on("GET", RUNS, watched(), lambda _: status(403, "Forbidden", "jane cannot watch"))
    found = await stream(world)
    assert brief(found)[-1] == ("problem", "", "jane cannot watch")
    assert found[-1][2]["status"] == 403


async def test_a_token_that_ends_ends_the_stream(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1)))

    def late(_: httpx.Request) -> httpx.Response:
        world.clock.ahead += 3600
        return httpx.Response(200, text="")

    world.cluster.on("GET", RUNS, late)
    found = await stream(world, exp=time.time() + 100)
    assert brief(found)[-1] == ("problem", "", "The token has expired; log in again.")
    assert int(watches(world)[0].url.params["timeoutSeconds"]) <= 100, "no watch outlives the token"


async def test_a_run_that_is_deleted(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1)))
    world.cluster.on("GET", RUNS, watched(("DELETED", run(4))))
    assert [(e, i) for e, i, _ in await stream(world)] == [("run", "1"), ("deleted", "4")]


async def test_another_run_of_the_same_name_is_not_taken_for_it(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(1)), answer(run(9, uid="uid-2")))
    world.cluster.on("GET", RUNS, gone_event)
    assert [(e, i) for e, i, _ in await stream(world)] == [("run", "1"), ("deleted", "9")]


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"type": "MODIFIED"}', '{"type": "MODIFIED", "object": {"metadata": {}}}'])
async def test_nonsense_is_as_good_as_nothing(world: World, line: str) -> None:
    world.cluster.on("GET", ONE, answer(run(1)), answer(run(8, "Succeeded")))
    world.cluster.on("GET", RUNS, lambda _: httpx.Response(200, text=line + "\n"))
    assert [(e, i) for e, i, _ in await stream(world)] == [("run", "1"), ("run", "8"), ("end", "8")]


async def test_heartbeats_while_nothing_happens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.01)
    beat, sent = asyncio.Event(), bytearray()

    async def quiet() -> AsyncIterator[bytes]:
        await beat.wait()
        yield json.dumps({"type": "MODIFIED", "object": run(2, "Succeeded")}).encode() + b"\n"

    world.cluster.on("GET", ONE, answer(run(1)))
    world.cluster.on("GET", RUNS, lambda _: httpx.Response(200, content=quiet()))

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.extend(message.get("body", b""))
        if b"\n: ping" in sent or sent.startswith(b": ping"):
            beat.set()

    token = world.provider.token()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": "",
        "path": "/runs/shop-x1/events", "raw_path": b"/runs/shop-x1/events", "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())], "client": ("127.0.0.1", 1), "server": ("gate", 80),
    }  # fmt: skip
    async with asyncio.timeout(20):
        await world.app(scope, receive, send)
    assert beat.is_set()
    assert [e for e, _, _ in events(sent.decode())] == ["run", "run", "end"]


async def test_streams_are_bounded_and_counted_back(world: World) -> None:
    world.cluster.on("GET", ONE, answer(run(9, "Failed")))
    services = world.app.state.services
    await stream(world)
    assert services.streams == 0
    services.streams = services.settings.max_streams
    response = await world.client.get("/runs/shop-x1/events", headers=world.headers())
    assert (response.status_code, response.headers["content-type"]) == (429, "application/problem+json")
