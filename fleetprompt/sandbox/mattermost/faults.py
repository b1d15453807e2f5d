"""How the answers of a failing Mattermost look."""

from __future__ import annotations

from fleetprompt.sandbox.faults import Fault
from fleetprompt.sandbox.messages import Cut, Response


def before_commit(fault: Fault) -> Response | Cut:
    """The answer of a fault that keeps the request from being carried out."""
    if fault.kind == "429":
        return too_many_requests(fault.value)
    if fault.kind == "5xx":
        return Response(int(fault.value), b"<html><body>upstream</body></html>", content_type="text/html")
    return Cut()


def too_many_requests(retry_after_s: float) -> Response:
    """429 as the server's limiter writes it: plain text; seconds in the headers."""
    seconds = str(max(0, round(retry_after_s)))
    headers = (
        ("x-ratelimit-limit", "10"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", seconds),
        ("retry-after", seconds),
    )
    return Response(429, b"limit exceeded\n", headers, content_type="text/plain; charset=utf-8")
