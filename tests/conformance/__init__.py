"""The promise: what holds for asyncio.Queue holds for ours. Each case runs over both, and over ours across sessions.

Named differences, which are not tested here: `get` hands out a Delivery; a negative maxsize is an error; a `get` of
a queue that was shut down raises once what others hold is done with, too, for that may come back.
"""
