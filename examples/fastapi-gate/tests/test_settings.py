"""What an administrator may get wrong is said at the start."""

from typing import Any

import pytest
from pydantic import ValidationError

from gate.identity import ClaimMapping, NameRefused, caller_of
from gate.settings import Settings

GOOD: dict[str, Any] = {"issuer": "https://login.example.com", "audience": "a", "groups": ("oidc:g",), "namespace": "team-a"}


def test_good() -> None:
    assert Settings(**GOOD).issuer == "https://login.example.com", "no slash is added: the issuer is compared as it is"


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ISSUER": "https://x.example", "AUDIENCE": "a", "GROUPS": '["oidc:g"]', "NAMESPACE": "n"}.items():
        monkeypatch.setenv("GATE_" + name, value)
    assert Settings().groups == ("oidc:g",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://login.example.com"},
        {"api_server": "http://kubernetes.default.svc"},
        {"audience": ""},
        {"groups": ()},
        {"groups": ("system:masters",)},
        {"groups": ("a\nb",)},
        {"namespace": "../kube-system"},
        {"namespace": "a/b"},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"algorithms": ()},
        {"collector_service": "https:x:1/../../secrets"},
    ],
)
def test_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**GOOD | wrong)


def test_nobody_becomes_one_of_kubernetes_own() -> None:
    mapping = ClaimMapping("sub", "", "groups", "", "sub", frozenset({"g"}))
    with pytest.raises(NameRefused, match="system:"):
        caller_of({"sub": "system:kube-scheduler", "exp": 1}, mapping)
