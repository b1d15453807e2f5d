"""RabbitMQ, by taskiq-aio-pika: one queue that several workers consume; it goes when nobody has used it for an hour.

aio-pika's robust connection comes back by itself, but an iterator over a queue may then wait for ever. So the check
looks at the connections, and a closed one ends the link.
"""

from __future__ import annotations

from typing import Final

from pamqp.common import FieldTable
from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.exchange import Exchange
from taskiq_aio_pika.queue import Queue, QueueType

from fleetprompt.runtime.jobs.carriers import CONNECT_S, KEPT_MESSAGES, KEPT_S, Carrier

HEARTBEAT_S: Final = 5


def rabbit(url: str, queue: str, slots: int) -> Carrier:
    """queue: the name of the queue, of its exchange, and of the one for what nobody took."""
    limits: FieldTable = {
        "x-message-ttl": KEPT_S * 1000,
        "x-expires": KEPT_S * 1000,
        "x-max-length": KEPT_MESSAGES,
    }
    broker = AioPikaBroker(
        url,
        qos=slots,
        exchange=Exchange(name=queue),
        task_queues=[Queue(name=queue, type=QueueType.CLASSIC, arguments=limits)],
        dead_letter_queue=Queue(name=f"{queue}.dead", type=QueueType.CLASSIC, arguments=limits),
        timeout=CONNECT_S,
        heartbeat=HEARTBEAT_S,
    )
    broker.is_worker_process = True  # else it opens no connection to read from

    async def check() -> None:
        for connection in (broker.read_conn, broker.write_conn):
            if connection is None or connection.is_closed or not connection.connected.is_set():
                raise ConnectionResetError
        assert broker.write_channel is not None
        await broker.write_channel.declare_queue(queue, passive=True, durable=True, timeout=CONNECT_S)

    return Carrier(broker, check, reads_ahead=True)
