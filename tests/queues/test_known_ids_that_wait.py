"""What a put that waited is told of its id, though its session was lost meanwhile."""

import asyncio

import pytest

from shared.concurrency import IdConflict, QueueShutDown
from shared.concurrency.queues.encoding.outgoing import with_id
from shared.concurrency.queues.puts.batch import Batch, OutgoingEntry
from shared.concurrency.queues.puts.putters import Putters
from shared.concurrency.queues.puts.verdicts import Portion, decide_each

OWNER = b"abcdefghijkl"


def waiting(putters: Putters, number: int) -> Batch:
    key = b"%b%010d" % (OWNER, number)
    entry = OutgoingEntry(number, key + with_id({}, f"id-{number}", "digest", 1000) + b"1")
    batch = Batch([entry], asyncio.get_running_loop().create_future(), may_wait=True)
    batch.is_new = None
    putters.add(entry)
    return batch


async def test_what_was_let_in_before_it_was_put_again_says_what_became_of_it() -> None:
    putters = Putters()
    added, repeated, conflicting, shut_out = batches = [waiting(putters, number) for number in (1, 2, 3, 4)]
    portion = Portion("session", "run", [batch.entries[0] for batch in batches], list(putters), again=True)
    # The server: no longer in line; the first was let in meanwhile, what became of the others is told by name.
    decide_each(portion, putters, [b"x", 4, b"a", 1, b"q", 3], 3)
    putters.answered(3, b"=%b0000000002 %b0000000003 -%b0000000004" % (OWNER, OWNER, OWNER))
    assert len(putters) == 0
    assert [added.is_new, repeated.is_new] == [True, False]
    with pytest.raises(IdConflict):
        await conflicting.done
    with pytest.raises(QueueShutDown):
        await shut_out.done


async def test_what_a_notification_decided_is_not_counted_again_by_the_answer_to_the_same_put_again() -> None:
    putters = Putters()
    entries = [OutgoingEntry(number, b"%b%010d0000000000.0001" % (OWNER, number)) for number in (1, 2)]
    batch = Batch(entries, asyncio.get_running_loop().create_future(), may_wait=True)
    for entry in entries:
        putters.add(entry)
    portion = Portion("session", "run", list(putters), list(putters), again=True)
    putters.admit(1)  # it is on the way when the call is sent, and arrives before the answer
    decide_each(portion, putters, [b"x", 1, b"w", 1, b"a", 1, b"q", 1], 1)
    putters.answered(1, b"")
    assert (batch.admitted, batch.undecided, batch.done.done()) == (1, 1, False)
    putters.admit(2)
    await batch.done
    assert batch.admitted == len(entries)


async def test_a_shutdown_leaves_those_to_the_server_that_go_in_by_their_keys() -> None:
    putters, loop = Putters(), asyncio.get_running_loop()
    middles = (b"0000000000.000", b'0000000000f018{"flow":"1  k  "}')
    batches = []
    for number, middle in enumerate(middles, start=1):
        entry = OutgoingEntry(number, b"%b%010d%b1" % (OWNER, number, middle))
        batches.append(Batch([entry], loop.create_future(), may_wait=True))
        putters.add(entry)
    plain, keyed = batches
    assert putters.shut_out(
        QueueShutDown("shut down")
    )  # the notification that it was let in may be lost: it is asked for
    assert isinstance(plain.done.exception(), QueueShutDown)
    assert not keyed.done.done()
    assert not Putters().shut_out(QueueShutDown("shut down"))
