"""Visitors who open streams without end: so many are served, the next ones are told so, and the page goes on."""

import contextlib
import http.client
import signal
import socket
from collections.abc import Iterator

import pytest

from monitor.page.web import MOST_READERS
from shared.local.embedded import EmbeddedServer
from tests.instruments.page import Page, watching

_MORE = 50


@pytest.fixture
def page(server: EmbeddedServer) -> Iterator[Page]:
    with watching(server.url) as page:
        with page.stream() as stream:
            stream.until(lambda each: "at" in each)
        yield page


class Visitor:
    """Someone who opens a stream, and reads no more of it than the first line."""

    def __init__(self, page: Page) -> None:
        """Connect, and be served once: the monitor has accepted the connection then."""
        self.connection = socket.create_connection(("127.0.0.1", page.port), timeout=30)
        self.ask("/livez")
        assert self.status() == http.client.OK

    def ask(self, path: str = "/events") -> None:
        self.connection.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())

    def status(self) -> int:
        answer = http.client.HTTPResponse(self.connection)
        answer.begin()
        if answer.getheader("Content-Type", "").startswith("text/event-stream"):
            return answer.status
        text = answer.read()
        if answer.status != http.client.OK:
            assert text == b'{"problem":"%d pages are open already"}' % MOST_READERS
        return answer.status


def test_no_more_streams_are_open_than_there_is_room_for_and_the_page_goes_on(page: Page) -> None:
    with contextlib.ExitStack() as stack:
        visitors = [Visitor(page) for _ in range(MOST_READERS + _MORE)]
        for visitor in visitors:
            stack.enter_context(contextlib.closing(visitor.connection))
        page.service.send_signal(signal.SIGSTOP)
        for visitor in visitors:
            visitor.ask()
        page.service.send_signal(signal.SIGCONT)  # all of them have asked by then, as one does who means harm
        served = {visitor: visitor.status() for visitor in visitors}
        assert sorted(served.values()) == [200] * MOST_READERS + [503] * _MORE
        assert [page.ask(path).status for path in ("/", "/snapshot.json", "/livez")] == [200, 200, 200]
        assert page.ask("/events").status == 503
        # Whoever leaves makes room.
        next(visitor for visitor, status in served.items() if status == 200).connection.close()
        assert _is_let_in(page)


def _is_let_in(page: Page) -> bool:
    """Whether somebody finds a place, within the patience of one who tries again, as the page does."""
    for _ in range(200):
        visitor = Visitor(page)
        with contextlib.closing(visitor.connection):
            visitor.ask()
            if visitor.status() == http.client.OK:
                return True
    return False
