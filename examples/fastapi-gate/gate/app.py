"""The routes. Each finds out who asks, and asks the cluster in their name."""

import logging
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gate import problems
from gate.events import Follower
from gate.identity import Caller, ClaimMapping, NameRefused, caller_of
from gate.kubernetes import Gone, Kubernetes, Object
from gate.oidc import Verifier
from gate.problems import Problem, unauthenticated
from gate.runs import NAME, IdempotencyKey, Name, Run, RunPage, RunRequest, manifest, same_request, shown
from gate.settings import Settings

log = logging.getLogger("gate")

_bearer = HTTPBearer(auto_error=False, description="An ID token of the identity provider.")
_POLITE = httpx.Timeout(10.0)


@dataclass
class Services:
    """What the routes use, made once."""

    settings: Settings
    verifier: Verifier
    mapping: ClaimMapping
    kubernetes: Kubernetes
    follower: Follower
    streams: int = 0


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


S = Annotated[Services, Depends(_services)]


async def _caller(services: S, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    if credentials is None:
        raise unauthenticated("A bearer token is needed: an ID token of the identity provider.")
    claims = await services.verifier.verify(credentials.credentials)
    try:
        caller = caller_of(claims, services.mapping)
    except NameRefused as refused:
        raise Problem(403, str(refused)) from refused
    if not caller.groups:
        raise Problem(403, f"{caller.username} is in none of the groups that this service acts for.")
    return caller


C = Annotated[Caller, Depends(_caller)]
RunName = Annotated[str, Path(pattern=NAME, max_length=253)]


async def _visible(services: S, caller: C, name: RunName) -> Object:
    """The run, if the caller may get it: asked of the cluster before anything else of it is touched."""
    return await services.kubernetes.get(caller, name)


Visible = Annotated[Object, Depends(_visible)]


def create_app(
    settings: Settings | None = None,
    *,
    cluster: httpx.AsyncBaseTransport | None = None,
    provider: httpx.AsyncBaseTransport | None = None,
    now: Callable[[], float] = time.time,
    follower: Callable[[Kubernetes, int, Callable[[], float]], Follower] = Follower,
) -> FastAPI:
    """The application. Tests give transports, a clock and a follower of their own."""
    s = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(
                _client(cluster, s.api_server_ca_file, s.api_server, httpx.Limits(max_connections=s.max_streams + 50))
            )
            oidc = await stack.enter_async_context(_client(provider, s.issuer_ca_file, "", httpx.Limits(max_connections=4)))
            kubernetes = Kubernetes(api, s)
            app.state.services = Services(
                settings=s,
                verifier=Verifier(oidc, s.issuer, s.audience, s.algorithms, now),
                mapping=ClaimMapping(
                    s.username_claim, s.username_prefix, s.groups_claim, s.groups_prefix, s.uid_claim, frozenset(s.groups)
                ),
                kubernetes=kubernetes,
                follower=follower(kubernetes, s.watch_seconds, now),
            )
            yield

    app = FastAPI(title="dbt gate", version="1", lifespan=lifespan, docs_url=None, redoc_url=None, max_body_size=s.max_body_bytes)
    problems.install(app)
    _routes(app)
    app.add_middleware(_NotKept)
    return app


class _NotKept:
    """Says of each answer that nobody on the way may keep it: it is for one person."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, marked)


def _client(transport: httpx.AsyncBaseTransport | None, ca: FilePath | None, base: str, limits: httpx.Limits) -> httpx.AsyncClient:
    verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(ca)) if ca and transport is None else True
    # Neither proxies nor credentials from the environment; nobody is followed elsewhere with a token.
    return httpx.AsyncClient(
        base_url=base, transport=transport, verify=verify, timeout=_POLITE, limits=limits, trust_env=False, follow_redirects=False
    )


def _routes(app: FastAPI) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether this process answers. It says nothing of the cluster, which would not get better by a restart."""
        return {"status": "ok"}

    @app.post("/runs", status_code=201)
    async def create(
        services: S, caller: C, request: RunRequest, response: Response, idempotency_key: Annotated[IdempotencyKey | None, Header()] = None
    ) -> Run:
        """Creates a run in the caller's name. With an Idempotency-Key, the same request again gives the same run."""
        wanted = manifest(request, caller.username, idempotency_key)
        try:
            run = await services.kubernetes.create(caller, wanted)
        except Problem as problem:
            if idempotency_key is None or problem.reason != "AlreadyExists":
                raise
            run = await services.kubernetes.get(caller, wanted["metadata"]["name"])
            if not same_request(run, request):
                raise Problem(422, "This Idempotency-Key was used for another request; take a new one.") from problem
            response.status_code = 200
        else:
            log.info("%s created DbtRun %s of %s", caller.username, run["metadata"]["name"], request.project)
        response.headers["Location"] = f"/runs/{run['metadata']['name']}"
        return shown(run)

    @app.get("/runs")
    async def runs(
        services: S,
        caller: C,
        project: Annotated[Name | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        after: Annotated[str | None, Query(max_length=2048, description="`next` of the page before.")] = None,
    ) -> RunPage:
        """The runs of the namespace, a page at a time."""
        params = {"limit": str(limit)}
        if project:
            params["fieldSelector"] = f"spec.projectRef.name={project}"
        if after:
            params["continue"] = after
        page = await services.kubernetes.page(caller, params)
        return RunPage(runs=[shown(r) for r in page.get("items", [])], next=page.get("metadata", {}).get("continue") or None)

    @app.get("/runs/{name}")
    async def run(visible: Visible) -> Run:
        """One run: where it is, and what came of it."""
        return shown(visible)

    @app.post("/runs/{name}/cancel", status_code=202)
    async def cancel(services: S, caller: C, name: RunName) -> Run:
        """Asks for the run to be cancelled, in the caller's name. It ends a little later; a run that is over stays as it is."""
        run = await services.kubernetes.cancel(caller, name)
        log.info("%s cancelled DbtRun %s", caller.username, name)
        return shown(run)

    @app.get("/runs/{name}/events", response_class=EventSourceResponse)
    async def events(followed: Annotated[AsyncGenerator[ServerSentEvent, None], Depends(_followed)]) -> AsyncIterator[ServerSentEvent]:
        """The run's progress as server-sent events: `run` at each change, then `end`, `deleted` or `problem`."""
        async for event in followed:
            yield event

    @app.get("/runs/{name}/lineage")
    async def lineage(services: S, visible: Visible, whole: bool = False) -> Response:
        """What the run read and made: as much as its status holds, or with `whole` the whole lineage.json."""
        if whole:
            return await _stored(services, visible["metadata"]["name"], "artifacts/lineage.json", "application/json")
        found = visible.get("status", {}).get("lineage")
        if found is None:
            raise Problem(404, f'Run "{visible["metadata"]["name"]}" has no lineage, or none yet.')
        return JSONResponse(found)

    @app.get("/runs/{name}/log")
    async def whole_log(services: S, visible: Visible) -> Response:
        """What the run's pods printed, redacted by the operator."""
        return await _stored(services, visible["metadata"]["name"], "log", "text/plain; charset=utf-8")


async def _followed(services: S, caller: C, visible: Visible) -> AsyncIterator[AsyncGenerator[ServerSentEvent, None]]:
    """The events of the run. What is wrong before the first is an answer with its own status, not an event."""
    if services.streams >= services.settings.max_streams:
        raise Problem(429, "Too many streams are open; try again later.", headers={"Retry-After": "10"})
    services.streams += 1
    followed = services.follower.follow(caller, visible)
    try:
        yield followed
    finally:
        services.streams -= 1
        await followed.aclose()


async def _stored(services: Services, name: str, what: str, media_type: str) -> Response:
    """Passes on what the collector keeps, as it comes."""
    stack = AsyncExitStack()
    try:
        found = await stack.enter_async_context(services.kubernetes.stored(name, what))
    except Gone:
        raise Problem(404, "The collector does not keep this any more.") from None

    async def body() -> AsyncIterator[bytes]:
        async with stack:
            async for chunk in found.aiter_bytes():
                yield chunk

    # The collector's content is a project's: never a page of this service.
    return StreamingResponse(
        body(), media_type=media_type, headers={"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    )
