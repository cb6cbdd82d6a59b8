"""The few calls of the Kubernetes API that this service makes, each as the caller, and one as itself.

Plain httpx: six calls and four headers are read at a glance. The official client would bring models of all of
Kubernetes, blocks a thread for each watch, and sets impersonation headers for a whole client, not for a request; the one
mistake that must not happen here is a request under another person's name.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gate.identity import Caller
from gate.problems import Problem, of_api_server, unreachable
from gate.settings import Settings

Object = dict[str, Any]

# Of a watch, how much one event may hold: a DbtRun's status is at most 32 KiB.
_LONGEST_EVENT = 4 * 1024 * 1024


class Gone(Exception):
    """The version to watch from is too old; look at the object and watch from there."""


class Kubernetes:
    """The API server, spoken to with this service's own token."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._settings = settings
        self._runs = f"/apis/dbtoperator.dev/v1alpha1/namespaces/{settings.namespace}/dbtruns"

    async def create(self, caller: Caller, run: Object) -> Object:
        """Creates a DbtRun as the caller."""
        return await self._call(caller, "POST", self._runs, json=run)

    async def get(self, caller: Caller, name: str) -> Object:
        """The DbtRun, if the caller may get it."""
        return await self._call(caller, "GET", f"{self._runs}/{name}")

    async def page(self, caller: Caller, params: dict[str, str]) -> Object:
        """Some of the DbtRuns, if the caller may list them."""
        return await self._call(caller, "GET", self._runs, params=params)

    async def cancel(self, caller: Caller, name: str) -> Object:
        """Sets spec.cancel as the caller."""
        patch = json.dumps({"spec": {"cancel": True}}).encode()
        return await self._call(
            caller, "PATCH", f"{self._runs}/{name}", content=patch, headers=[("Content-Type", "application/merge-patch+json")]
        )

    async def watch(self, caller: Caller, name: str, version: str, seconds: int) -> AsyncGenerator[tuple[str, Object], None]:
        """Changes of one DbtRun after a version, as (type, object), for so many seconds.

        Raises Gone if the version is too old, a Problem if the caller may not, or nobody answers.
        """
        params = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        # Between two events there may be nothing for as long as the watch lasts.
        timeout = httpx.Timeout(10.0, read=seconds + 30.0)
        async with self._stream(caller.headers(), self._runs, params=params, timeout=timeout) as response:
            async for line in _lines(response):
                try:
                    event = json.loads(line)
                    kind, changed = str(event["type"]), event["object"]
                    if kind != "ERROR":
                        changed["metadata"]["resourceVersion"]
                except (ValueError, KeyError, TypeError) as err:
                    raise unreachable("The API server, in words that make sense,") from err
                if kind == "ERROR":
                    if changed.get("code") == 410:
                        raise Gone
                    raise Problem(int(changed.get("code", 500)), str(changed.get("message", "")), reason=str(changed.get("reason", "")))
                yield kind, changed

    @asynccontextmanager
    async def stored(self, name: str, what: str) -> AsyncIterator[httpx.Response]:
        """Opens what the operator's collector keeps of a run, as this service: whoever calls this has seen that the person
        may get the run. The collector wants to see a token and is shown this service's, as a person's never leaves here."""
        s = self._settings
        path = (
            f"/api/v1/namespaces/{s.collector_namespace}/services/{s.collector_service}/proxy/v1/runs/{s.namespace}/{name}/{what}"
        )
        async with self._stream([("X-Dbt-Operator-Token", self._token())], path, timeout=httpx.Timeout(30.0)) as response:
            yield response

    def _token(self) -> str:
        try:
            return self._settings.token_file.read_text().strip()
        except OSError as err:
            raise Problem(503, "This service has no token of its own; its administrator must see to it.") from err

    def _headers(self, more: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [("Authorization", f"Bearer {self._token()}"), ("Accept", "application/json"), *more]

    async def _call(self, caller: Caller, method: str, path: str, *, headers: list[tuple[str, str]] | None = None, **more: Any) -> Object:
        try:
            response = await self._http.request(method, path, headers=self._headers([*caller.headers(), *(headers or [])]), **more)
        except httpx.TransportError as err:
            raise unreachable("The API server") from err
        if response.is_error:
            raise of_api_server(response)
        try:
            found = response.json()
        except ValueError as err:
            raise unreachable("The API server, in JSON,") from err
        if not isinstance(found, dict):
            raise unreachable("The API server, with an object,")
        return found

    @asynccontextmanager
    async def _stream(self, headers: list[tuple[str, str]], path: str, **more: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream("GET", path, headers=self._headers(headers), **more) as response:
                if response.status_code == 410:
                    raise Gone
                if response.is_error:
                    await response.aread()
                    raise of_api_server(response)
                yield response
        except httpx.TransportError as err:
            raise unreachable("The API server") from err


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines of a body, each bounded, which httpx's own are not."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > _LONGEST_EVENT:
            raise unreachable("The API server, within bounds,")
