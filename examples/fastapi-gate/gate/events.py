"""A run's progress as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from fastapi.sse import ServerSentEvent

from gate.identity import Caller
from gate.kubernetes import Gone, Kubernetes, Object
from gate.problems import Problem, unauthenticated
from gate.runs import shown

# After so many failures in a row the caller is told, and may come again.
_TRIES = 5

Sleep = Callable[[float], Awaitable[None]]


class Follower:
    """Follows runs for callers. `now` gives seconds since 1970; one watch lasts `seconds` at most."""

    def __init__(self, kubernetes: Kubernetes, seconds: int, now: Callable[[], float], sleep: Sleep = asyncio.sleep) -> None:
        self._kubernetes = kubernetes
        self._seconds = seconds
        self._now = now
        self._sleep = sleep

    async def follow(self, caller: Caller, run: Object) -> AsyncGenerator[ServerSentEvent, None]:
        """Events of one run, from what it is now until it ends.

        `run` whenever something that callers see has changed, then one of `end` (the run is over), `deleted`, and
        `problem` (the caller may not see it any more, their token has ended, or the API server stays away). Each event's
        id is the version of the run that it speaks of.
        """
        uid, last, version = run["metadata"]["uid"], shown(run), run["metadata"]["resourceVersion"]
        yield ServerSentEvent(event="run", data=last, id=version)
        try:
            async with aclosing(self._changes(caller, last.name, version)) as changes:
                while not last.finished:
                    kind, changed = await anext(changes)
                    version = changed["metadata"]["resourceVersion"]
                    if kind == "DELETED" or changed["metadata"]["uid"] != uid:
                        yield ServerSentEvent(event="deleted", data={"name": last.name}, id=version)
                        return
                    seen = shown(changed)
                    if seen != last:
                        yield ServerSentEvent(event="run", data=seen, id=version)
                    last = seen
        except Problem as problem:
            yield ServerSentEvent(event="problem", data=problem.body())
            return
        yield ServerSentEvent(event="end", data={"phase": last.phase, "message": last.message}, id=version)

    async def _changes(self, caller: Caller, name: str, version: str) -> AsyncGenerator[tuple[str, Object], None]:
        """Changes after a version, for as long as there are any: a watch that ends is begun again where it was, and after
        one that broke off the run is looked at first. Raises a Problem when no other try would do."""
        failures, missed = 0, False
        while True:
            try:
                if missed:
                    # What was missed is not told one by one: the run as it is now says it all.
                    current = await self._kubernetes.get(caller, name)
                    version, missed = current["metadata"]["resourceVersion"], False
                    yield "MODIFIED", current
                # A stream does not outlive the token that opened it, and rights are checked anew by each watch.
                left = int(caller.expires - self._now())
                if left <= 0:
                    raise unauthenticated("The token has expired; log in again.")
                async with aclosing(self._kubernetes.watch(caller, name, version, min(left, self._seconds))) as changes:
                    async for kind, changed in changes:
                        failures, version = 0, changed["metadata"]["resourceVersion"]
                        if kind != "BOOKMARK":
                            yield kind, changed
            except Gone:
                missed = True
            except Problem as problem:
                failures += 1
                if (problem.status < 500 and problem.status != 429) or failures == _TRIES:
                    raise
                missed = True
            # Also after a watch that ended as it should: one that always ends at once must not become a busy loop.
            await self._sleep(min(2.0 ** max(failures - 1, 0), 15.0))
