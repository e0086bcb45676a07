"""Until when a process relies on its session: before the server's deadline, whatever a renewal took on its way."""

from shared.concurrency import Queue
from shared.concurrency.session.clock import boottime, margin
from tests.instruments import inside

TTL_MS = 10_000


async def test_a_renewal_counts_from_when_it_was_sent(queue: Queue[int]) -> None:
    await queue.statistics()
    await queue.put(1)
    member = inside.member_at(queue)
    (call,) = member.renewals("", 0.0)
    sent_at = boottime() - 3.0  # its answer took so long
    member.life.deadline = sent_at
    member.renewed(call, sent_at, [1, 1_000, 1_000 + TTL_MS, 0])
    assert member.life.deadline == sent_at + TTL_MS / 1000 - margin(member.life.ttl)


async def test_the_session_of_a_loop_that_hangs_is_not_renewed(queue: Queue[int]) -> None:
    await queue.put(1)
    member = inside.member_at(queue)
    assert len(member.renewals("", 29.0)) == 1  # three times to live
    assert member.renewals("", 31.0) == ()
