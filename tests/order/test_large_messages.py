"""The server reads the entry of each acknowledgement where keys are: one call acknowledges 500, and 2 MiB, at most."""

from shared.concurrency import Queue, Session
from shared.concurrency.queues.takes.settlements import Settlements
from tests.instruments import inside
from tests.order.watching import at_rest, take

SIZE = 200_000


def test_one_call_acknowledges_2_mib_of_large_messages_at_most() -> None:
    settlements, entries = Settlements(), [b"%045d" % number + b"x" * SIZE for number in range(40)]
    for entry in entries:
        settlements.add(entry, "ack")
        settlements.read_with_its_entry(entry)
    settlements.add(b"small", "ack")
    calls: list[list[bytes]] = []
    while settlements:
        calls.append(settlements.portion().acks)
    assert [receipt for call in calls for receipt in call] == [*(entry[:45] for entry in entries), b"small"]
    assert max(len(call) for call in calls) <= (2 << 20) // SIZE + 1
    assert not settlements.large


def test_one_call_acknowledges_500_messages_of_a_queue_with_keys_at_most() -> None:
    for with_keys, most in ((True, 500), (False, 2000)):
        settlements, receipts = Settlements(), [b"%045d" % number for number in range(2100)]
        settlements.acks += receipts
        calls: list[list[bytes]] = []
        while settlements:
            calls.append(settlements.portion(with_keys=with_keys).acks)
        assert [receipt for call in calls for receipt in call] == receipts
        assert max(map(len, calls)) == most


async def test_only_a_queue_with_keys_counts_them(session: Session, name: str) -> None:
    plain, ordered = Queue(session, name, str), Queue(session, f"{name}-2", str)
    for queue, key in ((plain, None), (ordered, "k")):
        await queue.put("x" * SIZE, key=key)
        delivery = await take(queue)
        takes = inside.take_lane_at(queue)
        acknowledged = delivery.ack()
        acknowledged.send(None)  # it is to be sent, and is not yet
        assert len(takes.settlements.large) == (key is not None)
        acknowledged.close()
        await takes.flush()
    await at_rest(ordered)
