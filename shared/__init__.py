"""What producers and consumers both know: messages, settings, logs, the local server."""

from shared.concurrency.rate import Rate
from shared.upgrades import upgrades

__all__ = ["Rate", "upgrades"]
