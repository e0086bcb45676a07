"""The network: bytes travel to a real server and back with seeded delays, in order, until a connection breaks."""

import socket
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import hiredis

EPOCH = 1_800_000_000.0
"""What the server's clock says at virtual second 0."""

_USER = "world"
_SET_CLOCK = "#!lua flags=allow-oom\nreturn redis.call('SET', 'sim:now', ARGV[1])"


class Air(Protocol):
    """What a link needs of the world."""

    @property
    def now(self) -> float:
        """Virtual seconds."""

    @property
    def server_now(self) -> float:
        """What the server's clock says, in virtual seconds."""

    def delay(self) -> float:
        """How long a packet travels, in virtual seconds; drawn from the seed."""

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen at a virtual time; what is asked for the same time happens in that order."""

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen in so many virtual seconds."""

    def breaks(self) -> float | None:
        """Whether the connection breaks at this packet: after so many seconds, or None."""

    def ran(self, who: str, command: bytes, answer: bytes) -> None:
        """The server has run a command."""

    def told(self, answer: bytes) -> bytes:
        """An answer as the client is to read it."""

    def links(self) -> Iterator["Link"]:
        """All connections the server knows."""


class Control:
    """A blocking connection of the world's own, for its clock and its checks."""

    def __init__(self, path: str) -> None:
        """Connect to the server's socket."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader()
        # A user of its own: what the processes may do changes.
        self.call("ACL", "SETUSER", _USER, "on", "nopass", "~*", "&*", "+@all")
        self.call("AUTH", _USER, "any")

    def call(self, *words: str | bytes | int) -> Any:
        """Run a command; an error is returned, not raised."""
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub knows tuples of one only
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            if not data:
                raise OSError("the server is gone")
            self._reader.feed(data)
        return answer

    def set_clock(self, seconds: float) -> None:
        """Have the scripts see this virtual time; a full memory does not stop it."""
        self.call("EVAL", _SET_CLOCK, "0", f"{int((EPOCH + seconds) * 1e6)}")

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()


class Link:
    """One connection of a process to the server."""

    def __init__(self, air: Air, control: Control, path: str, who: str, call_soon: Callable[..., object]) -> None:
        """Connect at once; `call_soon` is that of the loop that reads."""
        self._air = air
        self._control = control
        self._who = who
        self._call_soon = call_soon
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader()
        self._arrives_at = self._returns_at = 0.0
        self.is_cut = False
        """Whether the client's end is broken."""
        self.is_gone = False
        """Whether the server's end is."""
        self.is_mute = False
        """Whether what is sent gets lost on the way, and neither end is told."""
        self.receive: Callable[[bytes], None] = lambda _: None
        self.lost: Callable[[Exception], None] = lambda _: None
        self._socket.sendall(hiredis.pack_command(("HELLO", "3")))  # type: ignore[arg-type]
        self._answer(subscribing=False)

    def send(self, data: bytes) -> None:
        """Send one command; it arrives later, behind those sent before."""
        if self.is_cut or self.is_mute:
            return
        self._arrives_at = max(self._arrives_at, self._air.now + self._air.delay())
        self._air.at(self._arrives_at, lambda: self._arrive(data))
        seconds = self._air.breaks()
        if seconds is not None:
            self._air.later(seconds, self.cut)

    def cut(self) -> None:
        """Break. Both ends notice, each in its own time; what is on the way is lost, or still runs."""
        if self.is_cut:
            return
        self.is_cut = True
        self._air.later(self._air.delay(), self._report_lost)
        self._air.later(self._air.delay(), self.end_at_server)

    def _report_lost(self) -> None:
        self._call_soon(self.lost, OSError("cut"))

    def end_at_server(self) -> None:
        """The server sees that the client is gone."""
        if not self.is_gone:
            self.is_gone = True
            self._socket.close()

    def _arrive(self, data: bytes) -> None:
        """The command runs now, whatever becomes of its answer."""
        if self.is_gone or self.is_mute:
            return
        self._control.set_clock(self._air.server_now)
        self._socket.sendall(data)
        answer = self._air.told(self._answer(subscribing=b"SUBSCRIBE" in data[:40]))
        self._air.ran(self._who, data, answer)
        self._return(answer)
        # What it published to others is there once the server has answered another call.
        self._control.call("PING")
        for other in self._air.links():
            if other is not self:
                other.return_pushes()

    def _answer(self, *, subscribing: bool) -> bytes:
        answer = b""
        while True:
            data = self._socket.recv(1 << 20)
            if not data:
                raise OSError("the server is gone")
            answer += data
            self._reader.feed(data)
            is_whole = False
            while (one := self._reader.gets()) is not False:
                is_push = isinstance(one, hiredis.PushNotification)
                is_whole |= (subscribing and one[0] == b"subscribe") if is_push else True
            if is_whole:
                return answer

    def return_pushes(self) -> None:
        """Send the client what the server said by itself."""
        try:
            data = self._socket.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        self._reader.feed(data)
        while self._reader.gets() is not False:
            pass
        self._return(data)

    def _return(self, data: bytes) -> None:
        if self.is_cut or self.is_mute or not data:
            return
        self._returns_at = max(self._returns_at, self._air.now + self._air.delay())
        self._air.at(self._returns_at, lambda: self._deliver(data))

    def _deliver(self, data: bytes) -> None:
        if not (self.is_cut or self.is_mute):
            self._call_soon(self.receive, data)
