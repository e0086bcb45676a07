"""What nodes say of slots is read as they mean it, and what is known better is kept."""

import pytest
from redis.crc import key_slot

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.cluster.topology import SLOTS, Topology, read_slots, slot_of
from shared.concurrency.session.server_errors import moved

ONE, TWO, THREE = Endpoint("one", 1), Endpoint("two", 2), Endpoint("::1", 3)


def known(*masters: Endpoint) -> list[Endpoint | None]:
    """All slots, shared by these in turn."""
    return [masters[slot % len(masters)] for slot in range(SLOTS)]


def test_a_node_without_a_host_of_its_own_is_where_it_was_asked() -> None:
    answer = [
        [0, 99, [b"", 7, b"id"], [b"replica", 8, b"id"]], [100, 100, [None, 9, b"id"]], [101, 102, [b"?", 9, b"id"]],
        [103, SLOTS - 1, [b"two", 2, b"id", [b"hostname", b"x"]]],
    ]  # fmt: skip
    found = read_slots(answer, ONE)
    assert (found[0], found[99]) == (Endpoint("one", 7), Endpoint("one", 7))
    assert found[100] == Endpoint("one", 9)
    assert found[101:103] == [None, None]
    assert set(found[103:]) == {TWO}


def test_what_moved_has_said_is_kept_from_a_node_that_hears_late() -> None:
    topology = Topology([ONE])
    topology.learn(known(ONE), lambda _, __: True)
    topology.moved(5, TWO)
    topology.learn(known(ONE), lambda slot, _: slot != 5)
    assert topology.node_of(5) == TWO
    topology.learn(known(THREE), lambda _, node: node == ONE)
    assert (topology.node_of(5), topology.node_of(6)) == (TWO, THREE)
    topology.learn([None] * SLOTS, lambda _, __: True)
    assert topology.node_of(6) == THREE, "nobody serves it at present: it may come back"


def test_any_node_that_is_known_may_be_asked() -> None:
    topology = Topology([ONE, TWO])
    was_known = topology.is_known
    assert topology.to_ask() == [ONE, TWO]
    topology.learn(known(TWO, THREE), lambda _, __: True)
    assert (was_known, topology.is_known) == (False, True)
    assert topology.to_ask() == [TWO, THREE, ONE]


@pytest.mark.parametrize("text,slot,to", [
    ("MOVED 3999 127.0.0.1:6381", 3999, ("127.0.0.1", 6381)),
    ("MOVED 0 ::1:6381", 0, ("::1", 6381)),
    ("MOVED 16383 :6381", 16383, ("", 6381)),
])  # fmt: skip
def test_where_a_slot_has_moved(text: str, slot: int, to: tuple[str, int]) -> None:
    found = moved(text)
    assert found is not None
    assert (found.slot, found.to) == (slot, to)


@pytest.mark.parametrize("text", ["ASK 3999 127.0.0.1:6381", "MOVED", "MOVED x y:1", "ERR MOVED 1 a:1"])
def test_other_answers_say_nothing_of_a_move(text: str) -> None:
    assert moved(text) is None


@pytest.mark.parametrize("name", ["jobs", "shop/jobs", "~0123456789abcdef01234567"])
def test_the_slot_of_a_name_is_that_of_its_keys(name: str) -> None:
    tag, _, alone = name.partition("/")
    assert slot_of(name) == key_slot(f"{{{tag}}}{'/' if alone else ''}{alone}:pending".encode())


def test_the_address_of_a_node_has_the_login_of_all() -> None:
    address = read_address("rediss+cluster://user:p%40ss@one:1,[::1]:3?socket_connect_timeout=2")
    assert isinstance(address, ClusterAddress)
    assert address.seeds == (ONE, THREE)
    node = address.at(TWO)
    assert (node.kind, node.shown, node.locate_blocking()) == ("tls", "two:2", TWO)
    assert node.options["password"] == "p@ss"
    assert node.options["ssl_check_hostname"] is True
    assert not {"host", "port", "db"} & set(node.options)
    assert "p@ss" not in address.shown
