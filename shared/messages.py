"""YOURS: the message classes. A new job begins here: one class, and one function in consumer/handlers.py."""

from shared.demo.messages import CountWords
from shared.message import Message

__all__ = ["CountWords", "Message"]
