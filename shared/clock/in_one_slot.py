"""The clock's keys on a Cluster: arq changes several in one step, so all of them lie in the slot of the queue.

arq's keys begin with `arq:`. On a Cluster they begin with `{QUEUE}:arq:`: whatever goes through a client of here, from
arq or from us, has the queue's tag put before each word that begins with `arq:`.
"""

from functools import partial
from typing import Any, Final

import redis.asyncio
from redis._parsers import Encoder
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError

from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.credentials import Credentials
from shared.concurrency.session.cluster.slot_address import SlotAddress
from shared.concurrency.session.server_errors import moved
from shared.connections import KINDS
from shared.pool import CountedPool, counted_pool

_ARQ: Final = b"arq:"
_ON_ITS_WAY: Final = ("ASK ", "TRYAGAIN", "CLUSTERDOWN")


class _Tagging(Encoder):
    """Encodes the words of a command."""

    def __init__(self, encoding: str, encoding_errors: str, decode_responses: bool, *, tag: bytes) -> None:  # noqa: FBT001  # redis-py's signature
        super().__init__(encoding, encoding_errors, decode_responses)  # type: ignore[no-untyped-call]
        self._tag = tag

    def encode(self, value: Any) -> Any:
        encoded = super().encode(value)  # type: ignore[no-untyped-call]
        return self._tag + encoded if isinstance(encoded, bytes) and encoded.startswith(_ARQ) else encoded


class _InOneSlot(AbstractConnection):
    """A connection to the node that serves the slot: once another one does, it is lost, and opened there."""

    address: SlotAddress

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply.

        :raises redis.exceptions.ConnectionError: when another node serves the slot, or it is on its way.
        """
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not self._is_gone(str(error)):
                raise
            await self.disconnect(nowait=True)
            raise LostConnection(f"the slot of the clock has moved: {error}") from error

    def _is_gone(self, answer: str) -> bool:
        elsewhere = moved(answer)
        return answer.startswith(_ON_ITS_WAY) or (elsewhere is not None and elsewhere.slot == self.address.slot)


_KINDS: Final = {kind: type(f"InOneSlot{kind.title()}", (_InOneSlot, made), {}) for kind, made in KINDS.items()}


def clock_client(
    url: str, queue: str, most: int, silence: float, *, credentials: Credentials | None = None, grace: float = 0.0
) -> "redis.asyncio.Redis":
    """A client of the clock's server, as `data_client`; on a Cluster, of the node that serves the queue."""
    address = read_address(url, credentials)
    if not isinstance(address, ClusterAddress):
        return redis.asyncio.Redis.from_pool(counted_pool(url, most, silence, credentials=credentials, grace=grace))
    tagging = partial(_Tagging, tag=f"{{{queue}}}:".encode())
    options = {"silence": silence, "socket_timeout": None, "socket_connect_timeout": silence, **address.options}
    where = SlotAddress(address, queue)
    return redis.asyncio.Redis.from_pool(
        CountedPool(_KINDS[address.kind], most, grace=grace, address=where, encoder_class=tagging, **options)
    )
