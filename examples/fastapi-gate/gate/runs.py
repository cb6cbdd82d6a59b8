"""What callers send and see, and the DbtRuns made of it and shown by it. No input or output."""

import hashlib
import json
import shlex
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_FINISHED = ("Succeeded", "Failed", "Cancelled")
# Says which request a run with an Idempotency-Key came from.
_REQUEST = "gate.dbtoperator.dev/request"

Name = Annotated[str, StringConstraints(pattern=NAME, min_length=1, max_length=253)]
Command = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
# One word of dbt's selection syntax. A dash at its start would be a flag.
Selector = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*$", max_length=512)]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


class RunRequest(BaseModel):
    """A run to make. The cluster decides whether it may be."""

    model_config = ConfigDict(extra="forbid")

    project: Name = Field(description="The DbtProject to run.")
    select: list[Selector] | None = Field(default=None, min_length=1, max_length=50, description="Nodes to build. Not with commands.")
    commands: list[Command] | None = Field(default=None, min_length=1, max_length=20, description="dbt command lines. Not with select.")
    vars: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], JsonValue] = Field(default_factory=dict, max_length=128)
    target: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.select and self.commands:
            raise ValueError("give select or commands, not both")
        return self

    def spec(self) -> dict[str, Any]:
        """The DbtRun's spec. Neither select nor commands: what the operator does by default, dbt build."""
        spec: dict[str, Any] = {"projectRef": {"name": self.project}}
        if self.commands:
            spec["commands"] = self.commands
        elif self.select:
            spec["commands"] = ["dbt build --select " + shlex.join(self.select)]
        if self.vars:
            spec["vars"] = self.vars
        if self.target:
            spec["target"] = self.target
        return spec


class Run(BaseModel):
    """A run, as callers see it. Parts of its status are passed on as the operator wrote them (docs/reference/api.md)."""

    name: str
    uid: str
    project: str
    commands: list[str]
    created: str
    requested_by: dict[str, Any] | None = None
    cancel: bool = False
    phase: str = "Pending"
    message: str = ""
    started: str | None = None
    completed: str | None = None
    progress: dict[str, Any] | None = None
    results: dict[str, int] | None = None
    failures: list[dict[str, Any]] = []
    revision: dict[str, Any] | None = None
    artifacts: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.phase in _FINISHED


class RunPage(BaseModel):
    """Some runs, and where the next ones begin."""

    runs: list[Run]
    next: str | None = None


def manifest(request: RunRequest, username: str, key: str | None) -> dict[str, Any]:
    """The DbtRun to create. With a key its name follows from the caller and the key, so that a second one is refused."""
    metadata: dict[str, Any] = {"labels": {"app.kubernetes.io/created-by": "dbt-gate"}}
    if key is None:
        metadata["generateName"] = request.project[:200] + "-"
    else:
        digest = hashlib.sha256(json.dumps([username, key]).encode()).hexdigest()
        metadata |= {"name": f"gate-{digest[:32]}", "annotations": {_REQUEST: _digest(request)}}
    return {"apiVersion": "dbtoperator.dev/v1alpha1", "kind": "DbtRun", "metadata": metadata, "spec": request.spec()}


def same_request(run: dict[str, Any], request: RunRequest) -> bool:
    """Whether a run with an Idempotency-Key came from an equal request."""
    return bool(run["metadata"].get("annotations", {}).get(_REQUEST) == _digest(request))


def _digest(request: RunRequest) -> str:
    return hashlib.sha256(json.dumps(request.spec(), sort_keys=True).encode()).hexdigest()


def shown(run: dict[str, Any]) -> Run:
    """A DbtRun as callers see it."""
    metadata, spec, status = run["metadata"], run["spec"], run.get("status", {})
    return Run(
        name=metadata["name"],
        uid=metadata["uid"],
        project=spec.get("projectRef", {}).get("name", "(inline)"),
        commands=spec.get("commands", []),
        created=metadata["creationTimestamp"],
        requested_by=spec.get("requestedBy"),
        cancel=spec.get("cancel", False),
        phase=status.get("phase", "Pending"),
        message=status.get("message", ""),
        started=status.get("startTime"),
        completed=status.get("completionTime"),
        progress=status.get("progress"),
        results=status.get("results"),
        failures=status.get("failures", []),
        revision=status.get("revision"),
        artifacts=[a["name"] for a in status.get("artifacts", [])],
    )
