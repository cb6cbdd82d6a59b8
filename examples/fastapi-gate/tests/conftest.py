"""A provider with keys of its own, a cluster that answers what a test tells it, and the gate between them."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from jwt.algorithms import RSAAlgorithm

from gate.app import create_app
from gate.settings import Settings

ISSUER = "https://login.example.com/dex"
AUDIENCE = "dbt-gate"
RUNS = "/apis/dbtoperator.dev/v1alpha1/namespaces/team-a/dbtruns"

Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """An OpenID Connect provider. It counts how often its keys are asked for."""

    keys: dict[str, rsa.RSAPrivateKey]
    asked: int = 0
    down: bool = False
    issuer: str = ISSUER

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused", request=request)
        if request.url.path == "/dex/.well-known/openid-configuration":
            return httpx.Response(200, json={"issuer": self.issuer, "jwks_uri": ISSUER + "/keys"})
        assert request.url.path == "/dex/keys"
        self.asked += 1
        jwks = [RSAAlgorithm.to_jwk(k.public_key(), as_dict=True) | {"kid": kid, "use": "sig"} for kid, k in self.keys.items()]
        # A key of a kind that nobody knows must not spoil the others.
        return httpx.Response(200, json={"keys": [{"kid": "odd", "kty": "XX"}, *jwks]})

    def token(self, kid: str = "one", key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        """A token of Jane's, changed as given; a claim of None is left out."""
        all_claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "u-1",
            "email": "jane@example.com",
            "email_verified": True,
            "groups": ["dbt-runners", "staff"],
            "exp": time.time() + 600,
        } | claims
        payload = {k: v for k, v in all_claims.items() if v is not None}
        return jwt.encode(payload, key or self.keys[kid], algorithm="RS256", headers={"kid": kid})


@dataclass
class Cluster:
    """An API server: a handler for each method and path, and what it was asked."""

    handlers: dict[tuple[str, str], list[Handler]] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        handlers = self.handlers.get((request.method, request.url.path))
        if not handlers:
            return status(404, "NotFound", f"nothing at {request.method} {request.url.path}")
        # The last one stays.
        answer = (handlers.pop(0) if len(handlers) > 1 else handlers[0])(request)
        return answer if isinstance(answer, httpx.Response) else await answer

    def on(self, method: str, path: str, *handlers: Handler) -> None:
        self.handlers[(method, path)] = list(handlers)


@dataclass
class World:
    """All of it."""

    app: FastAPI
    client: httpx.AsyncClient
    provider: Provider
    cluster: Cluster
    clock: "Clock"

    def headers(self, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.provider.token(**claims)}"}


@dataclass
class Clock:
    """Time, ahead of the real one by as much as a test says."""

    ahead: float = 0

    def __call__(self) -> float:
        return time.time() + self.ahead


def status(code: int, reason: str, message: str) -> httpx.Response:
    """An error as the API server gives it."""
    return httpx.Response(code, json={"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})


def run(version: int = 1, phase: str = "Running", name: str = "shop-x1", uid: str = "uid-1", **more: Any) -> dict[str, Any]:
    """A DbtRun as the API server shows it."""
    return {
        "apiVersion": "dbtoperator.dev/v1alpha1",
        "kind": "DbtRun",
        "metadata": {"name": name, "uid": uid, "resourceVersion": str(version), "creationTimestamp": "2026-11-24T10:00:00Z"},
        "spec": {"projectRef": {"name": "shop"}, "commands": ["dbt build"], "requestedBy": {"username": "oidc:jane@example.com"}},
        "status": {"phase": phase} | more,
    }


def answer(body: Any, code: int = 200) -> Handler:
    return lambda _: httpx.Response(code, json=body)


def watched(*events: tuple[str, dict[str, Any]]) -> Handler:
    """A watch that tells these and ends."""
    lines = "".join(json.dumps({"type": kind, "object": changed}) + "\n" for kind, changed in events)
    return lambda _: httpx.Response(200, text=lines)


@pytest.fixture(scope="session")
def key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    token = tmp_path / "token"
    token.write_text("the-gates-own-token\n")
    return Settings(
        issuer=ISSUER,
        audience=AUDIENCE,
        groups=("oidc:dbt-runners", "oidc:dbt-readers"),
        namespace="team-a",
        token_file=token,
        max_body_bytes=4096,
    )


async def no_wait(_: float) -> None:
    """Instead of waiting."""


@pytest.fixture
async def world(settings: Settings, key: rsa.RSAPrivateKey) -> AsyncIterator[World]:
    from gate.events import Follower

    provider, cluster, clock = Provider({"one": key}), Cluster(), Clock()
    app = create_app(
        settings,
        cluster=httpx.MockTransport(cluster),
        provider=httpx.MockTransport(provider),
        now=clock,
        follower=lambda kubernetes, seconds, now: Follower(kubernetes, seconds, now, no_wait),
    )
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            yield World(app, client, provider, cluster, clock)
