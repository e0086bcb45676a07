"""asyncio's patterns in one process, each beside its counterpart across processes."""
