"""Errors as callers see them: application/problem+json (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(Exception):
    """An answer that is an error: its status, and one sentence that says what would do."""

    def __init__(self, status: int, detail: str, *, reason: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.reason = reason
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The problem document. `reason` is Kubernetes' own word for it, such as Forbidden, when it comes from there."""
        document: dict[str, Any] = {"type": "about:blank", "title": _phrase(self.status), "status": self.status, "detail": self.detail}
        if self.reason:
            document["reason"] = self.reason
        return document


def unauthenticated(detail: str) -> Problem:
    """The caller is nobody yet."""
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def of_api_server(response: httpx.Response) -> Problem:
    """What the API server said, in its own words and with its own status. The body must have been read."""
    if response.status_code == 401:
        # Not the caller's token: that one never goes there.
        return Problem(503, "The API server does not accept this service's own token; its administrator must see to it.")
    try:
        status = response.json()
        detail, reason = str(status["message"]), str(status.get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        detail, reason = f"The API server answered {response.status_code}.", ""
    headers = {"Retry-After": response.headers["Retry-After"]} if "Retry-After" in response.headers else None
    return Problem(response.status_code, detail, reason=reason, headers=headers)


def unreachable(who: str) -> Problem:
    """Somebody that this service needs does not answer."""
    return Problem(503, f"{who} does not answer; try again.", headers={"Retry-After": "5"})


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""

    async def problem(_: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, Problem)
        return _response(exc)

    async def http(_: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, HTTPException)
        return _response(Problem(exc.status_code, str(exc.detail), headers=dict(exc.headers or {})))

    async def invalid(_: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, RequestValidationError)
        # Where and why, but not what was sent.
        found = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in exc.errors()[:10])
        return _response(Problem(422, found))

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _response(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body(), problem.status, problem.headers, media_type="application/problem+json")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
