"""The network: bytes travel to a real server and back with seeded delays, in order, until a connection breaks."""

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import hiredis

EPOCH = 1_800_000_000.0
"""What the server's clock says at virtual second 0."""

_USER = "world"
_SET_CLOCK = "#!lua flags=allow-oom\nreturn redis.call('SET', 'sim:now', ARGV[1])"
_BEGINS_TRANSACTION = b"$5\r\nMULTI\r\n"
_END_TRANSACTION = (b"$4\r\nEXEC\r\n", b"$7\r\nDISCAR")


def _clock(seconds: float) -> bytes:
    """The command by which the scripts see this virtual time; a full memory does not stop it."""
    words = ("EVAL", _SET_CLOCK, "0", f"{int((EPOCH + seconds) * 1e6)}")
    return bytes(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub knows tuples of one only


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
        self._pushed = select.epoll()
        self._reader = hiredis.Reader()
        self.fences = 0
        """How many answers came: what the server had sent anyone before one of them has arrived."""
        # A user of its own: what the processes may do changes.
        self.call("ACL", "SETUSER", _USER, "on", "nopass", "~*", "&*", "+@all")
        self.call("AUTH", _USER, "any")

    def call(self, *words: str | bytes | int) -> Any:
        """Run a command; an error is returned, not raised."""
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub knows tuples of one only
        return self._next()

    def calls(self, *commands: tuple[str | bytes | int, ...]) -> list[Any]:
        """Run commands that travel together."""
        self._socket.sendall(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]
        return [self._next() for _ in commands]

    def _next(self) -> Any:
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            if not data:
                raise OSError("the server is gone")
            self._reader.feed(data)
        self.fences += 1
        return answer

    def watch(self, one: socket.socket) -> None:
        """Watch what the server says there by itself; a socket that is closed is watched no more."""
        self._pushed.register(one, select.EPOLLIN)

    def pushed(self) -> set[int]:
        """The watched sockets where there is something to read; one look for all, for it is often."""
        return {number for number, _ in self._pushed.poll(0)}

    def close(self) -> None:
        """Disconnect."""
        self._pushed.close()
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
        self.loses_commands = self.loses_answers = False
        """Whether what either end sends gets lost on the way, and neither end is told."""
        self._queues = False
        """Whether the server queues commands of a transaction."""
        self.receive: Callable[[bytes], None] = lambda _: None
        self.lost: Callable[[Exception], None] = lambda _: None
        self._socket.sendall(hiredis.pack_command(("HELLO", "3")))  # type: ignore[arg-type]
        self._answer(subscribing=False)
        control.watch(self._socket)

    def send(self, data: bytes) -> None:
        """Send one command; it arrives later, behind those sent before."""
        if self.is_cut or self.loses_commands:
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
        if self.is_gone or self.loses_commands:
            return
        answer = self._air.told(self._run_queued(data) if self._queues else self._run(data))
        fences = self._control.fences
        self._air.ran(self._who, data, answer)
        self._return(answer)
        # What it published to others is there once the server has answered another call.
        if self._control.fences == fences:
            self._control.call("PING")
        if pushed := self._control.pushed():
            for other in self._air.links():
                if other is not self and other.number in pushed:
                    other.return_pushes()

    def _run(self, data: bytes) -> bytes:
        # The clock travels before the command: a trip of its own would cost a run a third of its time.
        self._socket.sendall(_clock(self._air.server_now) + data)
        self._queues = data[4:15] == _BEGINS_TRANSACTION
        return self._answer(subscribing=b"SUBSCRIBE" in data[:40], commands=2).partition(b"\r\n")[2]

    def _run_queued(self, data: bytes) -> bytes:
        # What travels with a command of a transaction would be part of it.
        self._control.call("EVAL", _SET_CLOCK, "0", f"{int((EPOCH + self._air.server_now) * 1e6)}")
        self._socket.sendall(data)
        self._queues = data[4:14] not in _END_TRANSACTION
        return self._answer(subscribing=False)

    @property
    def number(self) -> int:
        """The descriptor of its socket."""
        return self._socket.fileno()

    def _answer(self, *, subscribing: bool, commands: int = 1) -> bytes:
        """What comes until so many commands are answered; that of a subscription is a push."""
        answer, answered = b"", 0
        while True:
            data = self._socket.recv(1 << 20)
            if not data:
                raise OSError("the server is gone")
            answer += data
            self._reader.feed(data)
            while (one := self._reader.gets()) is not False:
                is_push = isinstance(one, hiredis.PushNotification)
                answered += (subscribing and one[0] == b"subscribe") if is_push else True
            if answered >= commands:
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
        if self.is_cut or self.loses_answers or not data:
            return
        self._returns_at = max(self._returns_at, self._air.now + self._air.delay())
        self._air.at(self._returns_at, lambda: self._deliver(data))

    def _deliver(self, data: bytes) -> None:
        if not (self.is_cut or self.loses_answers):
            self._call_soon(self.receive, data)
