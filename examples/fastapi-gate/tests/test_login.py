"""Who gets in, and as whom."""

import base64
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from tests.conftest import RUNS, World, answer, new_key


async def ask(world: World, token: str | None) -> httpx.Response:
    world.cluster.on("GET", RUNS, answer({"items": []}))
    return await world.client.get("/runs", headers={"Authorization": f"Bearer {token}"} if token is not None else {})


async def refused(world: World, token: str | None, status: int, words: str) -> None:
    response = await ask(world, token)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.json()["detail"]
    assert world.cluster.asked == [], "the cluster was asked for somebody who did not get in"
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_good_token_gets_in(world: World) -> None:
    assert (await ask(world, world.provider.token())).status_code == 200


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": time.time() - 60}, "expired"),
        ({"exp": "tomorrow"}, ""),
        ({"exp": None}, "not valid"),
        ({"nbf": time.time() + 300}, "not valid yet"),
        ({"aud": "another"}, "another audience"),
        ({"aud": None}, "not valid"),
        ({"iss": "https://evil.example.com"}, "another issuer"),
        ({"iss": None}, "not valid"),
        ({"sub": None}, "not valid"),
    ],
)
async def test_a_token_that_is_not_good_is_401(world: World, claims: dict[str, Any], words: str) -> None:
    await refused(world, world.provider.token(**claims), 401, words)


async def test_no_token_is_401(world: World) -> None:
    await refused(world, None, 401, "bearer token is needed")


@pytest.mark.parametrize("token", ["x", "a.b.c", "", "é", "." * 20000, "a" * 20000])
async def test_what_is_no_token_is_401(world: World, token: str) -> None:
    response = await world.client.get("/runs", headers=[(b"Authorization", b"Bearer " + token.encode())])
    assert response.status_code == 401


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_alg_none_is_401(world: World) -> None:
    _, payload, _ = world.provider.token().split(".")
    for alg in ("none", "None", ""):
        await refused(world, f"{part({'alg': alg, 'kid': 'one'})}.{payload}.", 401, "algorithm")
    assert world.provider.asked == 0


async def test_a_public_key_taken_for_a_shared_secret_is_401(world: World) -> None:
    public = world.provider.keys["one"].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # By hand: the library does not sign like this.
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{world.provider.token().split('.')[1]}"
    mac = base64.urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).decode().rstrip("=")
    await refused(world, f"{signed}.{mac}", 401, "algorithm")


async def test_another_key_under_a_known_name_is_401(world: World) -> None:
    await refused(world, world.provider.token(key=new_key()), 401, "not valid")


async def test_a_changed_payload_is_401(world: World) -> None:
    head, payload, signature = world.provider.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    await refused(world, f"{head}.{part(claims | {'email': 'boss@example.com'})}.{signature}", 401, "not valid")


async def test_keys_are_asked_for_once(world: World) -> None:
    for _ in range(3):
        assert (await ask(world, world.provider.token())).status_code == 200
    assert world.provider.asked == 1


async def test_an_unknown_key_makes_the_gate_ask_once_more(world: World) -> None:
    assert (await ask(world, world.provider.token())).status_code == 200
    world.clock.ahead += 60
    world.provider.keys = {"two": new_key()}
    assert (await ask(world, world.provider.token(kid="two"))).status_code == 200, "keys were rotated"
    assert world.provider.asked == 2
    world.cluster.asked.clear()
    await refused(world, world.provider.token(kid="three", key=new_key()), 401, "key that the provider does not have")
    await refused(world, world.provider.token(kid="one", key=new_key()), 401, "key that the provider does not have")
    assert world.provider.asked == 2, "anybody can make key ids up: not every one is asked for"
    world.clock.ahead += 60
    await refused(world, world.provider.token(kid="three", key=new_key()), 401, "key that the provider does not have")
    assert world.provider.asked == 3


async def test_a_key_that_is_taken_back_is_forgotten(world: World) -> None:
    assert (await ask(world, world.provider.token())).status_code == 200
    token = world.provider.token(exp=time.time() + 7200)
    world.provider.keys = {"two": new_key()}
    world.clock.ahead += 3600
    world.cluster.asked.clear()
    await refused(world, token, 401, "key that the provider does not have")


async def test_a_provider_that_is_away_is_503(world: World) -> None:
    world.provider.down = True
    await refused(world, world.provider.token(), 503, "identity provider")


async def test_a_provider_under_another_name_is_503(world: World) -> None:
    world.provider.issuer = "https://evil.example.com"
    await refused(world, world.provider.token(), 503, "identity provider")


async def test_a_person_in_no_group_of_the_gates_is_403(world: World) -> None:
    for groups in (["staff"], [], None, "staff", ["oidc:dbt-runners"], ["DBT-RUNNERS"]):
        await refused(world, world.provider.token(groups=groups), 403, "none of the groups")


async def test_the_cluster_is_told_exactly_who_asks(world: World) -> None:
    token = world.provider.token(groups=["staff", "dbt-runners", "dbt-readers", "system:masters"])
    assert (await ask(world, token)).status_code == 200
    sent = [(k.lower(), v) for k, v in world.cluster.asked[0].headers.multi_items()]
    assert [v for k, v in sent if k.startswith("impersonate-") and k != "impersonate-group"] == ["oidc:jane@example.com", "u-1"]
    assert [v for k, v in sent if k == "impersonate-group"] == ["oidc:dbt-readers", "oidc:dbt-runners"]
    assert [v for k, v in sent if k == "authorization"] == ["Bearer the-gates-own-token"]
    assert token not in str(sent)


async def test_one_group_as_text(world: World) -> None:
    assert (await ask(world, world.provider.token(groups="dbt-runners"))).status_code == 200
    assert world.cluster.asked[0].headers.get_list("impersonate-group") == ["oidc:dbt-runners"]


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email": "jane@example.com\r\nImpersonate-Group: system:masters"}, "characters"),
        ({"email": "jane\nx"}, "characters"),
        ({"email": "jane\x00"}, "characters"),
        ({"email": "jane "}, "characters"),
        ({"email": "jäne@example.com"}, "characters"),
        ({"email": "jane\u2028"}, "characters"),
        ({"email": "j" * 300}, "1 to 256"),
        ({"email": ""}, "no text"),
        ({"email": None}, "no text"),
        ({"email": ["jane@example.com"]}, "no text"),
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "false"}, "not verified"),
        ({"sub": "u-1\r\nX: y"}, "characters"),
        ({"sub": "u-1\t"}, "characters"),
        ({"groups": [1]}, "list of names"),
        ({"groups": {"a": "b"}}, "list of names"),
    ],
)
async def test_a_claim_that_cannot_stand_in_a_header_is_403(world: World, claims: dict[str, Any], words: str) -> None:
    await refused(world, world.provider.token(**claims), 403, words)


async def test_a_group_that_cannot_stand_in_a_header_is_left_out(world: World) -> None:
    token = world.provider.token(groups=["dbt-runners", "x\r\nImpersonate-Group: system:masters", "dbt-runners\r\n"])
    assert (await ask(world, token)).status_code == 200
    assert world.cluster.asked[0].headers.get_list("impersonate-group") == ["oidc:dbt-runners"]


async def test_health_needs_no_token(world: World) -> None:
    response = await world.client.get("/healthz")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
