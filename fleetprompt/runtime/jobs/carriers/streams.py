"""Redis or Valkey with streams, by taskiq-redis: a bounded stream, read one message at a time by one group.

An emptied server has lost the group: the next read ends with NOGROUP, and so does the check.
"""

from __future__ import annotations

import contextlib
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from taskiq_redis import RedisStreamBroker

from fleetprompt.runtime.jobs.carriers import CONNECT_S, KEPT_MESSAGES, Carrier

GROUP: Final = "fleetprompt"
BLOCK_MS: Final = 2_000
UNACKED_MS: Final = 60_000
"""A message that was read and not acked for so long is read again; the fence has dealt with its job long since."""
ANSWER_S: Final = 5.0  # longer than a read may block


class Streams(RedisStreamBroker):
    """taskiq-redis never removes a consumer; each connection is one, so ours goes when it is closed."""

    async def shutdown(self) -> None:
        """Leave the group, if the server can still be told, and close."""
        with contextlib.suppress(RedisError, OSError):
            await self.redis().xgroup_delconsumer(self.queue_name, GROUP, self.consumer_name)
        await super().shutdown()

    def redis(self) -> Redis:
        """A client on the same pool."""
        return Redis(connection_pool=self.connection_pool)


def streams(url: str, queue: str, slots: int) -> Carrier:
    """queue: the stream's key."""
    broker = Streams(
        url,
        queue_name=queue,
        consumer_group_name=GROUP,
        consumer_id="0",  # what was sent before the first reader came is read, too
        maxlen=KEPT_MESSAGES,
        xread_count=1,
        xread_block=BLOCK_MS,
        idle_timeout=UNACKED_MS,
        unacknowledged_lock_timeout=ANSWER_S,
        max_connection_pool_size=slots + 8,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=ANSWER_S,
    )

    async def check() -> None:
        groups = await broker.redis().xinfo_groups(queue)
        if not groups:
            raise ConnectionResetError

    return Carrier(broker, check)
