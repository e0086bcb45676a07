"""Campaigns: processes that are killed, stopped and cut off, and a referee that does not believe the product."""
