"""YOURS: what is done around every delivery, and when a message becomes a dead letter. Nothing at first.

Functions under `@around_deliveries` and `@on_dead_letter`, both from consumer/hooks.py: docs/handlers.md has examples.
"""
