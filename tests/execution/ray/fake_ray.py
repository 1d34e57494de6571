"""A stand-in for the module ``ray``: actors are objects of this process, and calls and their answers may be lost."""

from __future__ import annotations

import types
from concurrent.futures import Future, ThreadPoolExecutor


class RayActorError(Exception):
    """As Ray's."""


class ActorDiedError(RayActorError):
    """As Ray's."""


class ActorUnavailableError(RayActorError):
    """As Ray's: the call may have come to the actor, or not."""


class FakeRay:
    """Behaves as the module ``ray`` does, as far as the engine uses it.

    Args:
        loses: Takes ``"deliver"``, ``"collect"`` or ``"answer"`` and how many of that kind there were; says whether it
            is lost.
        room: How many actors run at a time; others wait.
    """

    __version__ = "2.60.0"

    def __init__(self, loses=lambda kind, n: False, room=1000):
        self.loses, self.room = loses, room
        self.handles, self.options, self.counts = [], [], {"deliver": 0, "collect": 0, "answer": 0}
        self.is_up = True
        self.fault = None
        self.exceptions = types.SimpleNamespace(
            RayActorError=RayActorError, ActorUnavailableError=ActorUnavailableError
        )

    def is_initialized(self):
        return self.is_up

    def shutdown(self):
        self.is_up = False

    def method(self, **options):
        return lambda function: function

    def put(self, value):
        return value

    def remote(self, **options):
        self.options.append(options)
        return lambda cls: types.SimpleNamespace(remote=lambda *args: Handle(self, cls, args))

    def kill(self, handle, no_restart):
        handle.die("it was killed by `ray.kill`.")

    def cluster_resources(self):
        return {"CPU": 2.0, "memory": 2.0**30, "node:127.0.0.1": 1.0, "object_store_memory": 1e8}

    def available_resources(self):
        return {"CPU": 0.5}

    def is_lost(self, kind):
        self.counts[kind] += 1
        return self.loses(kind, self.counts[kind])


class Handle:
    """An actor."""

    def __init__(self, ray, cls, args):
        if not ray.is_up:
            raise RuntimeError("Ray has not been started yet.")
        self.ray, self.futures, self.why, self.actor = ray, [], "", None
        self.pools = {name: ThreadPoolExecutor(1) for name in ("deliver", "collect")}
        ray.handles.append(self)
        self.is_pending = sum(not handle.why for handle in ray.handles) > ray.room
        if ray.fault is not None:
            self.die(ray.fault)
        elif not self.is_pending:
            self.actor = cls(*args)
        self.deliver, self.collect = (Method(self, name) for name in ("deliver", "collect"))

    def cut(self):
        """Break the connection for a moment: whoever waits for an answer gets none."""
        for future in self.futures:
            if not future.done():
                future.set_exception(ActorUnavailableError("Socket closed"))

    def die(self, why):
        died = "The actor died unexpectedly before finishing this task.\nThe actor is dead because"
        self.why = self.why or (why if why.startswith("The actor died") else f"{died} {why}")
        if self.actor is not None:
            self.actor._link._lease = 0.0  # the host's thread ends, as its process would
            self.actor._link.end("killed")
        for future in self.futures:
            if not future.done():
                future.set_exception(ActorDiedError(self.why))


class Method:
    """A method of an actor, for the caller."""

    def __init__(self, handle, name):
        self.handle, self.name = handle, name

    def remote(self, *args):
        handle, future = self.handle, Future()
        handle.futures.append(future)
        if handle.why:
            future.set_exception(ActorDiedError(handle.why))
        elif handle.actor is not None:
            is_lost = handle.ray.is_lost(self.name)
            if is_lost:
                future.set_exception(ActorUnavailableError("Socket closed"))
            else:
                handle.pools[self.name].submit(self.run, future, args)
        return types.SimpleNamespace(future=lambda: future)

    def run(self, future, args):
        try:
            value = getattr(self.handle.actor, self.name)(*args)
        except Exception as fault:
            value = fault
        if self.name == "collect" and self.handle.ray.is_lost("answer"):
            value = ActorUnavailableError("Socket closed")
        if not future.done():
            future.set_exception(value) if isinstance(value, Exception) else future.set_result(value)
