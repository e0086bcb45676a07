"""What a put that waited is told of its id, though its session was lost meanwhile."""

import asyncio

import pytest

from shared.concurrency import IdConflict
from shared.concurrency.queues.encoding.outgoing import with_id
from shared.concurrency.queues.puts.batch import Batch, OutgoingEntry
from shared.concurrency.queues.puts.putters import KnownInLine, Putters
from shared.concurrency.queues.puts.verdicts import Portion, decide_each

OWNER = b"abcdefghijkl"


def waiting(putters: Putters, number: int) -> Batch:
    key = b"%b%010d" % (OWNER, number)
    entry = OutgoingEntry(number, key + with_id({}, f"id-{number}", "digest", 1000) + b"1")
    batch = Batch([entry], asyncio.get_running_loop().create_future(), may_wait=True)
    batch.is_new = None
    putters.add(entry)
    return batch


async def test_what_was_let_in_before_it_was_put_again_says_whether_its_id_was_known() -> None:
    putters = Putters()
    added, repeated, conflicting = batches = [waiting(putters, number) for number in (1, 2, 3)]
    portion = Portion("session", [batch.entries[0] for batch in batches], list(putters), again=True)
    known = KnownInLine(f"={OWNER.decode()}0000000002 {OWNER.decode()}0000000003")
    # The server: no longer in line, let in meanwhile.
    decide_each(portion, putters, [b"x", 3, b"a", 3], 3, known, shut=False)
    assert len(putters) == 0
    assert [added.is_new, repeated.is_new] == [True, False]
    with pytest.raises(IdConflict):
        await conflicting.done
