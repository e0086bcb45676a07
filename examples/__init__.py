"""asyncio's patterns in one process, each beside its twin across processes."""
