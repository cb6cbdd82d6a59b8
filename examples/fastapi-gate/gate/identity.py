"""Who a caller is to the cluster. Knows claims and names; no HTTP, no signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What Kubernetes keeps of a name in spec.requestedBy; longer ones are no names of people.
_LONGEST = 256


class NameRefused(Exception):
    """A name that must not go into a header. The message names the kind, and does not repeat the name."""


@dataclass(frozen=True)
class Caller:
    """A person, as the API server would call them if they came with their token themselves."""

    username: str
    uid: str
    groups: tuple[str, ...]
    # When their token ends, in seconds since 1970.
    expires: float

    def headers(self) -> list[tuple[str, str]]:
        """Kubernetes' impersonation headers. system:authenticated is added by the API server."""
        return [
            ("Impersonate-User", self.username),
            ("Impersonate-Uid", self.uid),
            *(("Impersonate-Group", group) for group in self.groups),
        ]


@dataclass(frozen=True)
class ClaimMapping:
    """Which claims make a Caller: the same as claimMappings of the API server's AuthenticationConfiguration."""

    username_claim: str
    username_prefix: str
    groups_claim: str
    groups_prefix: str
    uid_claim: str
    groups: frozenset[str]


def checked_name(name: str, kind: str) -> str:
    """Returns the name if it can stand in a header unchanged and is not one of Kubernetes' own, or raises NameRefused.

    A line break would begin another header. Spaces at the ends are cut off on the way, and what is not ASCII is read in
    more than one way: both would make one person another.
    """
    if not 1 <= len(name) <= _LONGEST:
        raise NameRefused(f"The {kind} must have 1 to {_LONGEST} characters.")
    if not all(" " <= c <= "~" for c in name) or name != name.strip():
        raise NameRefused(f"The {kind} has characters that cannot be passed on: only printable ASCII, no space at its ends.")
    if name.startswith("system:"):
        raise NameRefused(f'The {kind} begins with "system:", which is kept for Kubernetes itself.')
    return name


def caller_of(claims: Mapping[str, Any], mapping: ClaimMapping) -> Caller:
    """The person of verified claims; NameRefused if they have no name that can be passed on.

    Of their groups, those this service may act for. None of them is for the caller of this function to judge.
    """
    if mapping.username_claim == "email" and claims.get("email_verified", True) is not True:
        raise NameRefused("The e-mail address of this token is not verified.")
    return Caller(
        username=checked_name(mapping.username_prefix + _text(claims, mapping.username_claim), "user name"),
        uid=checked_name(_text(claims, mapping.uid_claim), "uid"),
        groups=tuple(sorted(mapping.groups.intersection(mapping.groups_prefix + g for g in _groups(claims, mapping.groups_claim)))),
        expires=float(claims["exp"]),
    )


def _text(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not value:
        raise NameRefused(f"The token has no text in the claim {claim}.")
    return value


def _groups(claims: Mapping[str, Any], claim: str) -> list[str]:
    value = claims.get(claim, [])
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(g, str) for g in value):
        raise NameRefused(f"The claim {claim} is not a list of names.")
    return value
