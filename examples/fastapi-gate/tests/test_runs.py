"""Making, seeing and cancelling runs."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import RUNS, World, answer, run, status


def sent(world: World, index: int = -1) -> Any:
    return json.loads(world.cluster.asked[index].content)


async def post(world: World, body: Any, **headers: str) -> httpx.Response:
    return await world.client.post("/runs", json=body, headers=world.headers() | headers)


async def test_a_run_is_created_as_the_caller(world: World) -> None:
    world.cluster.on("POST", RUNS, answer(run(phase="Pending"), 201))
    response = await post(world, {"project": "shop", "select": ["tag:daily", "orders+"], "vars": {"day": "x", "n": [1]}, "target": "prod"})
    assert response.status_code == 201, response.text
    assert response.headers["location"] == "/runs/shop-x1"
    assert response.json()["requested_by"] == {"username": "oidc:jane@example.com"}
    assert sent(world) == {
        "apiVersion": "dbtoperator.dev/v1alpha1",
        "kind": "DbtRun",
        "metadata": {"generateName": "shop-", "labels": {"app.kubernetes.io/created-by": "dbt-gate"}},
        "spec": {
            "projectRef": {"name": "shop"},
            "commands": ["dbt build --select tag:daily orders+"],
            "vars": {"day": "x", "n": [1]},
            "target": "prod",
        },
    }, "requestedBy is the cluster's to write"
    assert world.cluster.asked[-1].headers["impersonate-user"] == "oidc:jane@example.com"


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ({}, None),
        ({"commands": ["dbt seed", "dbt run"]}, ["dbt seed", "dbt run"]),
        ({"select": ["a;b", "c'd", "$(e)"]}, ["dbt build --select 'a;b' 'c'\"'\"'d' '$(e)'"]),
    ],
)
async def test_commands(world: World, body: dict[str, Any], commands: list[str] | None) -> None:
    world.cluster.on("POST", RUNS, answer(run(), 201))
    assert (await post(world, {"project": "shop"} | body)).status_code == 201
    assert sent(world)["spec"].get("commands") == commands


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"project": "../other"},
        {"project": "Shop"},
        {"project": "shop\n"},
        {"project": "a" * 254},
        {"project": "shop", "select": ["a"], "commands": ["dbt run"]},
        {"project": "shop", "select": ["--profiles-dir"]},
        {"project": "shop", "select": ["a b"]},
        {"project": "shop", "select": ["a\nb"]},
        {"project": "shop", "select": []},
        {"project": "shop", "commands": []},
        {"project": "shop", "commands": ["dbt run"] * 21},
        {"project": "shop", "commands": [""]},
        {"project": "shop", "vars": {f"v{i}": 1 for i in range(129)}},
        {"project": "shop", "vars": [1]},
        {"project": "shop", "target": "-x"},
        {"project": "shop", "requestedBy": {"username": "boss"}},
        {"project": "shop", "namespace": "kube-system"},
        "shop",
        None,
    ],
)
async def test_what_is_no_request_is_422_and_not_echoed(world: World, body: Any) -> None:
    response = await post(world, body)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert world.cluster.asked == []
    assert "profiles-dir" not in response.text


async def test_a_body_is_bounded(world: World) -> None:
    response = await post(world, {"project": "shop", "vars": {"x": "y" * 5000}})
    assert response.status_code == 413
    deep = '{"project": "shop", "vars": {"x": ' + "[" * 2000 + "]" * 2000 + "}}"
    response = await world.client.post("/runs", content=deep, headers=world.headers() | {"Content-Type": "application/json"})
    assert response.status_code in (400, 413, 422)
    assert world.cluster.asked == []


DENIED = (
    "dbtruns.dbtoperator.dev is forbidden: ValidatingAdmissionPolicy 'dbt-operator-runs' denied request: "
    'User "oidc:jane@example.com" cannot run DbtProject "shop": that needs the verb "use"'
)


@pytest.mark.parametrize(("code", "reason", "message"), [(403, "Forbidden", DENIED), (422, "Invalid", "spec.commands[0]: Invalid"), (429, "TooManyRequests", "slow down")])
async def test_what_the_cluster_says_is_passed_on(world: World, code: int, reason: str, message: str) -> None:
    world.cluster.on("POST", RUNS, lambda _: status(code, reason, message))
    response = await post(world, {"project": "shop"})
    assert response.status_code == code
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["reason"], document["detail"]) == (code, reason, message)


def down(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "handler",
    [down, lambda _: httpx.Response(401, json={"message": "Unauthorized"}), lambda _: httpx.Response(200, text="<html>"), answer([1])],
)
async def test_a_cluster_that_is_away_is_503(world: World, handler: Callable[[httpx.Request], httpx.Response]) -> None:
    world.cluster.on("POST", RUNS, handler)
    world.cluster.on("GET", RUNS + "/r", handler)
    assert (await post(world, {"project": "shop"})).status_code == 503
    for path in ("/runs/r", "/runs/r/events", "/runs/r/lineage?whole=true"):
        response = await world.client.get(path, headers=world.headers())
        assert response.status_code == 503, path
        assert response.headers["content-type"] == "application/problem+json"


async def test_an_idempotency_key_makes_one_run(world: World) -> None:
    world.cluster.on("POST", RUNS, answer(run(), 201))
    body = {"project": "shop", "vars": {"a": 1}}
    assert (await post(world, body, **{"Idempotency-Key": "k1"})).status_code == 201
    first = sent(world)
    name = first["metadata"]["name"]
    assert name.startswith("gate-") and "generateName" not in first["metadata"]
    world.cluster.on("POST", RUNS, lambda _: status(409, "AlreadyExists", "exists"))
    world.cluster.on("GET", f"{RUNS}/{name}", answer(run(name=name) | {"metadata": run(name=name)["metadata"] | first["metadata"]}))
    again = await post(world, body, **{"Idempotency-Key": "k1"})
    assert (again.status_code, again.json()["name"]) == (200, name)
    other = await post(world, {"project": "shop"}, **{"Idempotency-Key": "k1"})
    assert other.status_code == 422 and "another request" in other.json()["detail"]
    world.cluster.on("POST", RUNS, answer(run(), 201))
    await world.client.post("/runs", json=body, headers=world.headers(email="joe@example.com") | {"Idempotency-Key": "k1"})
    assert sent(world)["metadata"]["name"] != name, "keys are each person's own"
    assert (await post(world, body, **{"Idempotency-Key": "a b"})).status_code == 422


async def test_list(world: World) -> None:
    world.cluster.on("GET", RUNS, answer({"items": [run(name="a"), run(name="b")], "metadata": {"continue": "more"}}))
    response = await world.client.get("/runs?project=shop&limit=2&after=xyz", headers=world.headers())
    assert [r["name"] for r in response.json()["runs"]] == ["a", "b"]
    assert response.json()["next"] == "more"
    assert dict(world.cluster.asked[0].url.params) == {"limit": "2", "fieldSelector": "spec.projectRef.name=shop", "continue": "xyz"}
    for wrong in ("limit=0", "limit=1000", "project=a,metadata.name=b", "project=A"):
        assert (await world.client.get(f"/runs?{wrong}", headers=world.headers())).status_code == 422, wrong


async def test_get(world: World) -> None:
    world.cluster.on("GET", RUNS + "/shop-x1", answer(run(phase="Succeeded", results={"success": 3}, artifacts=[{"name": "lineage.json"}])))
    found = (await world.client.get("/runs/shop-x1", headers=world.headers())).json()
    assert (found["phase"], found["results"], found["artifacts"]) == ("Succeeded", {"success": 3}, ["lineage.json"])


@pytest.mark.parametrize("name", ["..%2Fsecrets", "a%2Fb", "A", "-a", "a%0D%0A", "a%3Fx=y"])
async def test_a_name_that_is_none_reaches_nothing(world: World, name: str) -> None:
    for path in (f"/runs/{name}", f"/runs/{name}/events", f"/runs/{name}/lineage"):
        assert (await world.client.get(path, headers=world.headers())).status_code in (404, 422), path
    assert (await world.client.post(f"/runs/{name}/cancel", headers=world.headers())).status_code in (404, 422)
    assert world.cluster.asked == []


async def test_cancel(world: World) -> None:
    world.cluster.on("PATCH", RUNS + "/shop-x1", answer(run() | {"spec": {"projectRef": {"name": "shop"}, "cancel": True}}))
    response = await world.client.post("/runs/shop-x1/cancel", headers=world.headers())
    assert (response.status_code, response.json()["cancel"]) == (202, True)
    asked = world.cluster.asked[-1]
    assert asked.headers.get_list("content-type") == ["application/merge-patch+json"]
    assert asked.headers["impersonate-user"] == "oidc:jane@example.com"
    assert sent(world) == {"spec": {"cancel": True}}


STORED = "/api/v1/namespaces/dbt-operator-system/services/https:collector:9443/proxy/v1/runs/team-a/shop-x1"


async def test_lineage_of_the_status(world: World) -> None:
    world.cluster.on("GET", RUNS + "/shop-x1", answer(run(lineage={"nodes": 2})), answer(run()))
    assert (await world.client.get("/runs/shop-x1/lineage", headers=world.headers())).json() == {"nodes": 2}
    assert (await world.client.get("/runs/shop-x1/lineage", headers=world.headers())).status_code == 404


async def test_the_whole_lineage_and_log_come_from_the_collector(world: World) -> None:
    world.cluster.on("GET", RUNS + "/shop-x1", answer(run()))
    world.cluster.on("GET", STORED + "/artifacts/lineage.json", answer({"lineage": 1}))
    world.cluster.on("GET", STORED + "/log", lambda _: httpx.Response(200, text="<b>log</b>"))
    found = await world.client.get("/runs/shop-x1/lineage?whole=true", headers=world.headers())
    assert found.json() == {"lineage": 1}
    log = await world.client.get("/runs/shop-x1/log", headers=world.headers())
    assert log.text == "<b>log</b>" and log.headers["content-type"].startswith("text/plain")
    assert log.headers["x-content-type-options"] == "nosniff"
    first, asked = world.cluster.asked[0], world.cluster.asked[1]
    assert first.headers["impersonate-user"] == "oidc:jane@example.com", "the person's right is asked for first"
    assert not [k for k in asked.headers if k.startswith("impersonate-")], "the collector is asked as the gate"
    assert asked.headers["x-dbt-operator-token"] == "the-gates-own-token"


async def test_what_a_person_may_not_get_is_not_fetched_for_them(world: World) -> None:
    world.cluster.on("GET", RUNS + "/shop-x1", lambda _: status(403, "Forbidden", "jane cannot get"))
    world.cluster.on("GET", STORED + "/log", lambda _: httpx.Response(200, text="secret"))
    for path in ("log", "lineage?whole=true", "events", "lineage"):
        response = await world.client.get(f"/runs/shop-x1/{path}", headers=world.headers())
        assert (response.status_code, response.json()["detail"]) == (403, "jane cannot get"), path
    assert {r.url.path for r in world.cluster.asked} == {RUNS + "/shop-x1"}


async def test_no_token_is_logged(world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    token = world.provider.token()
    world.cluster.on("POST", RUNS, answer(run(), 201), lambda _: status(403, "Forbidden", "no"), down)
    headers = {"Authorization": f"Bearer {token}"}
    for _ in range(3):
        await world.client.post("/runs", json={"project": "shop"}, headers=headers)
    await world.client.post("/runs", json={"project": "SHOP"}, headers=headers)
    expired = world.provider.token(exp=1)
    await world.client.get("/runs", headers={"Authorization": f"Bearer {expired}"})
    said = caplog.text + "".join(capfd.readouterr())
    assert "oidc:jane@example.com created DbtRun shop-x1 of shop" in said
    for secret in (token, expired, token.split(".")[2], "the-gates-own-token"):
        assert secret not in said
