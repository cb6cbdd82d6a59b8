"""Verifies tokens of an OpenID Connect provider, whose keys it fetches and keeps up with as they rotate."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import jwt

from gate.problems import unauthenticated, unreachable

# A token longer than this is none that the provider made.
_LONGEST_TOKEN = 16 * 1024
# Keys are asked for again after this long, so that a key taken back is forgotten.
_KEYS_LIVE = 600.0
# An unknown key id makes this service ask again, but not more often than this: anybody can make one up.
_ASK_AGAIN_AFTER = 10.0
_LEEWAY = 10.0


class Verifier:
    """Says whether a token is good. `now` gives seconds since 1970."""

    def __init__(
        self, http: httpx.AsyncClient, issuer: str, audience: str, algorithms: tuple[str, ...], now: Callable[[], float]
    ) -> None:
        self._http = http
        self._issuer = issuer
        self._audience = audience
        self._algorithms = list(algorithms)
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> Mapping[str, Any]:
        """The token's claims, or a Problem: 401 if it is not good, 503 if the provider's keys cannot be had."""
        if len(token) > _LONGEST_TOKEN:
            raise unauthenticated("The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as err:
            raise unauthenticated("The bearer token is not a JSON Web Token.") from err
        # Before any key is looked for: "none" and shared secrets are no signatures of the provider.
        if header.get("alg") not in self._algorithms:
            raise unauthenticated("The token's signature is of an algorithm that is not accepted here.")
        key = await self._key(header.get("kid"))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidAudienceError as err:
            raise unauthenticated("The token is for another audience.") from err
        except jwt.InvalidIssuerError as err:
            raise unauthenticated("The token is of another issuer.") from err
        except jwt.PyJWTError as err:
            raise unauthenticated("The token is not valid.") from err
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        """By the injected clock, which PyJWT does not take."""
        exp, nbf = claims["exp"], claims.get("nbf", 0)
        if not isinstance(exp, int | float) or not isinstance(nbf, int | float):
            raise unauthenticated("The token's times are no numbers.")
        if exp <= self._now() - _LEEWAY:
            raise unauthenticated("The token has expired; log in again.")
        if nbf > self._now() + _LEEWAY:
            raise unauthenticated("The token is not valid yet.")

    async def _key(self, kid: object) -> jwt.PyJWK:
        if not isinstance(kid, str):
            raise unauthenticated("The token does not say which key it is signed with.")
        # Under the lock, so that many requests with a new key ask once.
        async with self._lock:
            age = self._now() - self._asked
            if age > _KEYS_LIVE or (kid not in self._keys and age > _ASK_AGAIN_AFTER):
                await self._fetch()
        if kid not in self._keys:
            raise unauthenticated("The token is signed with a key that the provider does not have.")
        return self._keys[kid]

    async def _fetch(self) -> None:
        try:
            discovery = (await self._get(self._issuer.rstrip("/") + "/.well-known/openid-configuration")).json()
            if discovery["issuer"] != self._issuer:
                raise unreachable("The identity provider under its own name")
            keys = (await self._get(str(discovery["jwks_uri"]))).json()["keys"]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as err:
            raise unreachable("The identity provider") from err
        found: dict[str, jwt.PyJWK] = {}
        for key in keys:
            try:
                if isinstance(key.get("kid"), str) and key.get("use", "sig") == "sig":
                    found[key["kid"]] = jwt.PyJWK(key)
            except (jwt.PyJWTError, AttributeError):
                continue  # a kind of key that is not known here does not spoil the others
        self._keys, self._asked = found, self._now()

    async def _get(self, url: str) -> httpx.Response:
        return (await self._http.get(url)).raise_for_status()
