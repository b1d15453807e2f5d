"""NATS with JetStream, by taskiq-nats: a work queue in memory, pulled one message at a time.

A pull is a lingering request, so a message that is there comes at once; and nothing is fetched that we have no slot
for. A stream or a consumer that is gone shows as an error of the next pull or of the check.
"""

from __future__ import annotations

import asyncio
from typing import Final

from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from taskiq_nats import PullBasedJetStreamBroker

from fleetprompt.runtime.jobs.carriers import CONNECT_S, KEPT_MESSAGES, KEPT_S, Carrier

PING_S: Final = 2
PULL_S: Final = 5.0
ACK_WAIT_S: Final = 30.0


def jetstream(url: str, queue: str) -> Carrier:
    """queue: the name of the stream, its subject, and the consumer that all workers share."""
    broker = PullBasedJetStreamBroker(
        [url],
        subject=queue,
        stream_name=queue,
        durable=queue,
        stream_config=StreamConfig(
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.MEMORY,
            max_msgs=KEPT_MESSAGES,
            max_age=KEPT_S,
        ),
        consumer_config=ConsumerConfig(
            durable_name=queue, ack_wait=ACK_WAIT_S, max_ack_pending=KEPT_MESSAGES
        ),
        pull_consume_batch=1,
        pull_consume_timeout=PULL_S,
        name="fleetprompt",
        allow_reconnect=False,
        connect_timeout=CONNECT_S,
        ping_interval=PING_S,
        max_outstanding_pings=2,
        error_cb=_unsaid,
    )

    async def check() -> None:
        if broker.client.is_closed:
            raise ConnectionResetError
        await broker.js.consumer_info(queue, queue)

    return Carrier(broker, check)


async def _unsaid(_: Exception) -> None:
    """Whoever waited for an answer gets the error; there is nothing to add."""
    await asyncio.sleep(0)
