"""What telemetry tells of a run: which, for whom, at what cost; never what was said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prometheus_client.parser import text_string_to_metric_families
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from fleetprompt.runtime.jobs.worker import Worker
from fleetprompt.telemetry import metrics
from tests.openai_stub import Reply
from tests.stage import QUICK, Stage, stage

CALM = QUICK.model_copy(
    update={"lease_s": 30.0}
)  # a lease lost on a busy machine would take a job's telling with it
PRIVATE = "the zebra crosses at dawn"


def value_of(name: str, labels: dict[str, str]) -> float:
    """All samples with these labels, added up: other tests of this process leave series of other models behind."""
    families = text_string_to_metric_families(metrics.rendered().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(float(sample.value) for sample in samples if sample.labels.items() >= labels.items())


@contextlib.asynccontextmanager
async def calm_stage() -> AsyncIterator[Stage]:
    async with stage(working=False) as play:
        stop = asyncio.Event()
        worker = asyncio.create_task(Worker(play.house.tenancy, play.registry, CALM).serve(stop))
        try:
            yield play
        finally:
            stop.set()
            await worker


COUNTED = (
    ("fleetprompt_signals_emitted_total", {"org": "acme", "name": "chat.message.received"}, 1),
    ("fleetprompt_executions_total", {"org": "acme", "state": "succeeded"}, 1),
    ("fleetprompt_executions_total", {"org": "acme", "state": "waiting"}, 1),
    ("fleetprompt_execution_seconds_count", {"org": "acme", "state": "succeeded"}, 1),
    ("fleetprompt_model_calls_total", {"org": "acme", "outcome": "answered"}, 2),
    ("fleetprompt_model_tokens_total", {"org": "acme", "direction": "input"}, 240),
    ("fleetprompt_directives_total", {"org": "acme", "name": "orders.hold", "state": "succeeded"}, 1),
    ("fleetprompt_jobs_total", {"kind": "directive.run", "outcome": "finished"}, 2),
    ("fleetprompt_job_wait_seconds_count", {"kind": "signal.handle"}, 1),
)


async def test_a_run_is_counted_timed_and_told_with_its_ids_and_without_its_words() -> None:
    before = [value_of(name, labels) for name, labels, _ in COUNTED]
    with capture_logs(processors=[merge_contextvars]) as logs:
        async with calm_stage() as play:
            hold = ("orders.hold", {"number": "1042", "reason": PRIVATE})
            play.stub.script([Reply.calls(hold, tokens=(120, 7)), Reply.says(PRIVATE, tokens=(120, 7))])
            await play.says(f"hold order 1042, {PRIVATE}")
            await play.chat.wait_for(1)
            run = await play.run_in_state("succeeded")
            async with asyncio.timeout(10):  # the reply's own job ends a moment after the post is seen
                while any(one.state != "succeeded" for one in await play.directives()):
                    await asyncio.sleep(0.02)
    grown = [value_of(name, labels) - was for (name, labels, _), was in zip(COUNTED, before, strict=True)]
    assert grown == [expected for _, _, expected in COUNTED]
    told = [log for log in logs if log["event"].startswith("fleetprompt.agent.execution.")]
    names = [log["event"].rsplit(".", 1)[1] for log in told]
    assert names == ["started", "waiting", "completed"]
    assert {(log["org"], str(log["execution_id"])) for log in told} == {("acme", str(run.id))}
    assert {log["correlation_id"] for log in told} == {str(run.correlation_id)}
    assert (told[-1]["steps"], told[-1]["input_tokens"]) == (2, 240)
    assert PRIVATE not in str(logs)


async def test_a_run_that_fails_is_told_with_its_error() -> None:
    with capture_logs() as logs:
        async with calm_stage() as play:
            play.stub.script([Reply.unauthorized()])
            await play.says("where is my order?")
            await play.chat.wait_for(1)
            await play.run_in_state("failed")
    [failed] = [log for log in logs if log["event"] == "fleetprompt.agent.execution.failed"]
    assert failed["error_code"].startswith("model_")
