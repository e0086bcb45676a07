"""The promise: what holds for asyncio's classes holds for ours. Each case runs over both.

The cases are those of CPython's test_locks.py and test_queues.py (of 3.13), written anew, and some more. One that shows
a difference on purpose is marked `differs`, with the key of its row under "Every difference" in docs/from-asyncio.md:
it asserts what asyncio does and what ours does instead. test_table.py holds the two to each other.

What CPython tests and has no case here:
- `repr` and `str` of an object (test_repr, test_str, test_format, test_draining_state): ours show nothing of what is at
  the server, which would take a round trip.
- Private attributes (test_get_with_putters and all that counts `_waiters`, `_getters`, `_putters`, `_value`): the cases
  here observe who waits, and what is left over, by what the server says.
- The argument `loop` (test_lock_doesnt_accept_loop_parameter, test_ambiguous_loops): gone since 3.10, and ours never
  had one. That another event loop is refused has a case.
- Queue[int] (test_generic_alias): a matter of types, which mypy watches.
- LifoQueueTests, PriorityQueueTests and what is inherited by them: ours has no such queue; that has a case.
- The order in which callbacks of one turn of the event loop run: across processes there is no such turn. Where CPython
  counts turns (`sleep(0)`), the cases here wait for what is to be seen.
"""
