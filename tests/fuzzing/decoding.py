"""Decoding: Hypothesis makes entries, dead letters and notifications, and each is read or refused as it should be."""

import random
import secrets
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from shared.concurrency import Event, Lock, Queue, Session
from shared.concurrency.queues.dead_letters import read_letter
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import read
from shared.concurrency.queues.encoding.unreadable import Unreadable
from tests.fuzzing.forge import BODIES, HEADERS, Forge, chance_of
from tests.fuzzing.orders import Order
from tests.fuzzing.pushes import NUMBERS, WORDS
from tests.fuzzing.world import Found, World
from tests.instruments.inside import notify_by_hand, session_id_at

CODEC: Final = Codec(Order, 65_536)
_BEGIN: Final = b"1700000000000001forgedforged00000000010000000000"


def _joined(flag: bytes, headers: bytes, body: bytes, length: int | None) -> bytes:
    count = min(999, len(headers)) if length is None else length
    return _BEGIN + flag + b"%03d" % count + headers + body


FORMED: Final = st.builds(
    _joined,
    st.sampled_from([b".", b"i", b"r", b"s", b"f", b"x"]),
    st.one_of(st.sampled_from(HEADERS), st.binary(max_size=80)),
    st.one_of(st.sampled_from(BODIES), st.binary(max_size=80)),
    st.one_of(st.none(), st.integers(0, 999)),
)
"""Entries whose parts are where they belong, whatever they hold."""
SPOILT: Final = st.integers(0, 1 << 32).map(lambda number: Forge(chance_of(number)).entry())
"""Entries as the forge makes them."""
ENTRIES: Final = st.one_of(FORMED, SPOILT, st.binary(max_size=200))

_FATES: Final = st.one_of(
    st.dictionaries(
        st.sampled_from(["reason", "error", "died_ms"]), st.one_of(st.text(max_size=20), st.floats(), st.integers(), st.none())
    ).map(repr).map(str.encode),
    st.sampled_from(HEADERS),
    st.binary(max_size=60),
)  # fmt: skip
LETTERS: Final = st.builds(lambda fate, entry: fate + b"\n" + entry, _FATES, ENTRIES)
"""Dead letters: how each died, and its entry."""


def check_entry(entry: bytes) -> None:
    """It is a message, which can be written again and shown, or it says why it is none."""
    try:
        item = CODEC.open(entry)
    except Unreadable as error:
        str(error).encode()
        return
    assert isinstance(item, Order)
    CODEC.encode(item)
    stored = read(entry)
    for text in (stored.id, stored.key, stored.type_name or "", stored.first_error or "", stored.way.key or ""):
        text.encode()


def check_letter(stored: bytes) -> None:
    """It is read as far as it can be, and all of that can be shown."""
    letter = read_letter(b"key", stored)
    assert letter.reason
    for text in (letter.key, letter.id, letter.reason, letter.error, letter.type or "", letter.first_error or ""):
        text.encode()


async def feed_decoded(world: World, chance: random.Random, count: int) -> int:
    """Have so many entries, letters and notifications decoded, a third of each; returns how many there were."""
    each = -(-count // 3)
    fed = _examples(chance, each, ENTRIES, check_entry) + _examples(chance, each, LETTERS, check_letter)
    name = f"fuzz-{secrets.token_hex(4)}"
    async with Session.open(world.server.url, ttl=5.0) as session, Lock(session, name):
        queue = Queue(session, name, Order)
        await queue.put(Order(number=0))
        event = Event(session, name)
        ours = st.sampled_from([name.encode(), session_id_at(queue).encode(), b"", b"nobody", *NUMBERS])
        rest = st.lists(st.one_of(ours, ENTRIES), max_size=4).map(b" ".join)
        pushes = st.builds(lambda *words: b" ".join(words), st.sampled_from(WORDS), ours, rest)
        fed += _examples(chance, each, st.one_of(pushes, st.binary(max_size=80)), notify_by_hand(session))
        await event.set()
        # One that could not be received was logged as such, and ended there.
        refusal = "a notification could not be received"
        world.defects.seen = [each for each in world.defects.seen if not each.startswith(refusal)]
        if not await event.is_set():
            raise Found("an event that was set is not")
    await world.forget(name)
    world.check(f"after {fed} decoded")
    return fed


def _examples(chance: random.Random, most: int, made: st.SearchStrategy[bytes], check: Callable[[bytes], Any]) -> int:
    """Check so many examples, and the smallest that fails where one does; returns how many there were."""
    seen = 0

    @seed(chance.randrange(1 << 32))
    @settings(
        max_examples=most, database=None, deadline=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(made)
    def run(example: bytes) -> None:
        nonlocal seen
        seen += 1
        check(example)

    run()
    return seen
