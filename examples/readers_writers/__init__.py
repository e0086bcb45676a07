"""Readers and writers: as it is often taught (wrong), right in one process, and across processes."""
