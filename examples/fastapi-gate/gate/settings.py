"""What an administrator configures, by environment variables that begin with GATE_."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gate.identity import NameRefused, checked_name

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Tokens go there, and keys come from there.
_Https = Annotated[str, Field(pattern=r"^https://[^\s?#]+$")]
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


def _impersonable(group: str) -> str:
    try:
        return checked_name(group, "group")
    except NameRefused as refused:
        raise ValueError(str(refused)) from refused


class Settings(BaseSettings):
    """All settings. Those of OpenID Connect are the same as in the API server's AuthenticationConfiguration."""

    model_config = SettingsConfigDict(env_prefix="GATE_", frozen=True)

    # The provider, and the client that tokens must be made for.
    issuer: _Https
    audience: Annotated[str, Field(min_length=1)]
    # PEM file with who signed the provider's certificate. Unset: the system's authorities.
    issuer_ca_file: Path | None = None
    algorithms: tuple[str, ...] = ("RS256", "ES256")

    # Which claims make the person, and what is put before them.
    username_claim: str = "email"
    username_prefix: str = "oidc:"
    groups_claim: str = "groups"
    groups_prefix: str = "oidc:"
    uid_claim: str = "sub"
    # Groups this service may act for, with their prefix: the same list as in deploy/impersonation.yaml. Other groups of a
    # person are left out; a person with none of these is refused.
    groups: Annotated[tuple[Annotated[str, AfterValidator(_impersonable)], ...], Field(min_length=1, max_length=64)]

    # The one namespace whose runs this service deals with.
    namespace: Annotated[str, Field(pattern=_LABEL)]
    api_server: _Https = "https://kubernetes.default.svc"
    api_server_ca_file: Path | None = _ACCOUNT / "ca.crt"
    # This service's own token. Read for each request: kubelet renews it.
    token_file: Path = _ACCOUNT / "token"
    # The Service of the operator's collector, as the API server's proxy names it.
    collector_namespace: Annotated[str, Field(pattern=_LABEL)] = "dbt-operator-system"
    collector_service: Annotated[str, Field(pattern=r"^https:[a-z0-9-]+:[0-9]+$")] = "https:collector:9443"

    # Bounds.
    max_body_bytes: Annotated[int, Field(gt=0)] = 64 * 1024
    max_streams: Annotated[int, Field(gt=0)] = 200
    # How long one watch lasts before the API server checks the caller's rights again.
    watch_seconds: Annotated[int, Field(ge=5, le=3600)] = 240

    @model_validator(mode="after")
    def _only_real_algorithms(self) -> Self:
        # A symmetric algorithm would take the provider's public key for a shared secret.
        if not self.algorithms or any(a[:2] not in ("RS", "ES", "PS", "Ed") for a in self.algorithms):
            raise ValueError("algorithms must be asymmetric ones, such as RS256 or ES256")
        return self
