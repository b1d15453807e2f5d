"""Redis or Valkey with streams, by taskiq-redis: a bounded stream, read one message at a time by one group.

An emptied server has lost the group: the next read ends with NOGROUP, and so does the check.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from taskiq_redis import RedisStreamBroker

from fleetprompt.runtime.jobs.carriers import CONNECT_S, KEPT_MESSAGES, Carrier

GROUP: Final = "fleetprompt"
BLOCK_MS: Final = 2_000
UNACKED_MS: Final = 60_000
"""A message that was read and not acked for so long is read again; the fence has dealt with its job long since."""
ANSWER_S: Final = 5.0  # longer than a read may block


class Pool(BlockingConnectionPool):
    """The library's opens connections after it was closed, for whoever still asks: a late ack, a send that waited."""

    closed = False

    async def get_connection(self, *args: Any, **options: Any) -> AbstractConnection:
        """Raises redis.exceptions.ConnectionError once the pool is closed."""
        if self.closed:
            raise RedisConnectionError("closed")
        connection: AbstractConnection = await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Back to the pool; one that was taken before the pool was closed, and connected after, ends here."""
        await super().release(connection)
        if self.closed:
            await connection.disconnect()

    async def aclose(self) -> None:
        """Disconnect all, for good."""
        self.closed = True
        await super().aclose()


class Streams(RedisStreamBroker):
    """taskiq-redis never removes a consumer; each connection is one, so ours goes when it is closed."""

    def __init__(self, url: str, queue: str, slots: int) -> None:
        super().__init__(
            url,
            queue_name=queue,
            consumer_group_name=GROUP,
            consumer_id="0",  # what was sent before the first reader came is read, too
            maxlen=KEPT_MESSAGES,
            xread_count=1,
            xread_block=BLOCK_MS,
            idle_timeout=UNACKED_MS,
            unacknowledged_lock_timeout=ANSWER_S,
        )
        self.connection_pool = self.pool = Pool.from_url(
            url,
            max_connections=slots + 8,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),  # a connection that fails is the link's affair
        )

    async def shutdown(self) -> None:
        """Leave the group, if the server can still be told, and close, though it cannot."""
        try:
            with contextlib.suppress(RedisError, OSError):
                await self.redis().xgroup_delconsumer(self.queue_name, GROUP, self.consumer_name)
        finally:
            await self.pool.aclose()
        await super().shutdown()

    def redis(self) -> Redis:
        """A client on the same pool."""
        return Redis(connection_pool=self.pool)


def streams(url: str, queue: str, slots: int) -> Carrier:
    """queue: the stream's key."""
    broker = Streams(url, queue, slots)

    async def check() -> None:
        groups = await broker.redis().xinfo_groups(queue)
        if not groups:
            raise ConnectionResetError

    return Carrier(broker, check)
