"""While Bridge is given a pause no mail is handed to it; afterwards one is tried, and the mail leaves once."""

from __future__ import annotations

from typing import Any

from fleetprompt.connectors.breaker import OPENS_AT
from tests.connected import until
from tests.mailed import Post, post_office, serving

OPEN = (
    "update installation_health set failures = $1, blocked_until = clock_timestamp() + interval '5 minutes'"
)


async def put_off(post: Post) -> Any:
    """The directive that waits for the pause's end."""

    async def there() -> Any:
        rows = await post.rows(
            "select * from directives where name = 'email.send' and error_code = 'blocked'"
        )
        return rows[0] if rows else None

    return await until(there, 30)


def spoke_smtp(post: Post) -> int:
    """How much was said to SMTP so far, by the installer's probe too."""
    return sum(len(piece.data) for piece in post.server.wire if piece.protocol == "smtp")


async def test_with_the_breaker_open_a_mail_waits_and_nothing_is_submitted() -> None:
    async with post_office() as post:
        await post.install(policy="send")
        await post.rows(OPEN, OPENS_AT)
        probed = spoke_smtp(post)
        async with serving(post):
            post.writes("help")
            waiting = await put_off(post)
            (job,) = await post.base.rows(
                "select scheduled_at - now() as rests from public.job where kind = 'directive.run'"
            )
            assert spoke_smtp(post) == probed
            assert not post.server.submissions
            await post.rows("update installation_health set blocked_until = clock_timestamp()")
            await post.base.rows("update public.job set scheduled_at = now() where kind = 'directive.run'")
            done = await post.directive("succeeded")
            await post.quiet()
        (health,) = await post.rows("select failures, blocked_until from installation_health")
    assert (waiting["state"], waiting["failures"]) == ("requested", 0)
    assert job["rests"].total_seconds() > 60
    assert done["id"] == waiting["id"]
    assert len(post.server.submissions) == 1
    assert tuple(health) == (0, None)
