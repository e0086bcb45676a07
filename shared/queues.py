"""Queues: those of a pipeline, by their names."""

from typing import Any, Final

from shared.concurrency import Queue, Session
from shared.message import Message
from shared.queue_settings import queue_name, split_name
from shared.settings import Settings


class Queues:
    """`pipeline.queues["mail"]`: each queue is made once, with the settings that this process was given."""

    def __init__(self, session: Session, settings: Settings) -> None:
        """Made by `open_pipeline`."""
        self._session: Final = session
        self._settings: Final = settings
        self._made: Final[dict[str, Queue[Message]]] = {}

    def __getitem__(self, name: str) -> Queue[Message]:
        """The queue of this name, or GROUP/NAME. It need not exist: the first call has the server know it.

        :raises ValueError: when it is no name.
        """
        if not isinstance(name, str):
            raise ValueError(f"a queue has a name, not {name!r:.100}")  # noqa: TRY004  # as Queue
        if name not in self._made:
            self._made[name] = self._make(queue_name(name))
        return self._made[name]

    def _make(self, full_name: str) -> Queue[Message]:
        settings, (name, group) = self._settings, split_name(full_name)
        # What nobody has set is no wish: `Queue(maxsize=20)` in code must not meet it.
        made: dict[str, Any] = {
            word: getattr(settings, word)
            for word in ("max_attempts", "max_crashes")
            if word in settings.model_fields_set
        }
        return Queue(
            self._session,
            name,
            Message,
            group=group,
            maxsize=settings.maxsize,
            max_dead=settings.max_dead,
            dead_for=settings.dead_for,
            max_message_bytes=settings.max_message_bytes,
            known_for=settings.known_for,
            unread_for=settings.unread_for,
            **made,
        )
