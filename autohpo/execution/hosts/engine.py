"""The two ends of an engine: what places hosts and carries messages, and what a host listens to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from autohpo.execution.hosts.setup import HostSetup

__all__ = ["Engine", "Heard", "Link"]


class Heard(NamedTuple):
    """Something that an engine heard of a host.

    Attributes:
        host: The number of the host.
        message: What the host said; None where it is about the host itself.
        lost: Why the host is no more, as a clause; empty where it said something. A host whose task came to its own
            end is lost, too.
    """

    host: int
    message: bytes | None
    lost: str = ""


class Engine(ABC):
    """What runs hosts somewhere else. All methods are called from one thread, the driver's.

    A host is a call of :func:`autohpo.execution.hosts.host.serve` with the setup, its number and a :class:`Link`, which
    the engine runs once, wherever and whenever it has room. It must not run it again where it was lost: the executor
    asks for another host, with another number.
    """

    name = ""
    """What users call it, for texts."""

    @abstractmethod
    def open(self, setup: HostSetup) -> None:
        """Connect; called once.

        Args:
            setup: What every host is started with.

        Raises:
            OptionError: There is no such engine; the text says what to do.
            MissingExtraError: Its package is not installed.
        """

    @abstractmethod
    def start(self, host: int) -> None:
        """Ask for a host, and return at once; it says hello once it runs."""

    @abstractmethod
    def send(self, host: int, message: bytes) -> None:
        """Send a message to a host that has said hello; those to one host arrive in their order.

        Nothing happens where the host is no more: :meth:`take` tells that.
        """

    @abstractmethod
    def take(self, timeout_seconds: float) -> list[Heard]:
        """Return what was heard since the last call, the messages of one host in their order.

        This waits until there is something, or `timeout_seconds` have passed.
        """

    @abstractmethod
    def cancel(self, host: int) -> None:
        """Give a host up: it ends, or is never started; nobody waits for that."""

    @abstractmethod
    def close(self) -> None:
        """Give up all hosts, and whatever the engine has started itself; may be called twice."""

    @property
    def failure(self) -> str:
        """Why no host can ever be had again, as a clause; empty while there may be some."""
        return ""

    @property
    def waits_for(self) -> str:
        """What has to come before a host can start, for a warning: where nobody knows, a hint at the engine."""
        return f"workers of {self.name}"


class Link(ABC):
    """A host's end of an engine. All methods are called from the thread of the host."""

    @abstractmethod
    def receive(self, timeout_seconds: float) -> list[bytes]:
        """Return the messages that came since the last call; wait for one, but no longer than that.

        With a timeout of 0 it does not wait.
        """

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Send a message to the driver; where that is no more, nothing happens."""

    @abstractmethod
    def is_wanted(self) -> bool:
        """Return whether the driver still wants this host; called several times a second, so it must be quick."""

    @property
    def why_unwanted(self) -> str:
        """Why :meth:`is_wanted` says no, as a clause; by default that the driver is gone."""
        return "its driver is gone"
