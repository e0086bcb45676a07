"""Mistake: what the caller can mend."""


class Mistake(Exception):
    """The message says what is wrong and what to do, in one line."""
