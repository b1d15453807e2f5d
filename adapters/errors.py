"""Every fault of a wire, each with its remedy.

    AdapterError
    ├── Passing                     RETRY      the far side or the way there is disturbed
    │   ├── Unreachable                        no connection: wrong URL, DNS, refused, TLS, reset before sending
    │   ├── TimedOut                           no answer in time to a call that changes nothing
    │   ├── RateLimited                        429; retry_after_s says when
    │   └── FarSideFailed                      5xx, or an answer that makes no sense
    ├── OutcomeUnknown              LOOK_UP    a call with an effect was cut off: look before repeating
    ├── CredentialRefused           ASK_HUMAN  401, deactivated account
    ├── NotAllowed                  ASK_HUMAN  403: not a member, missing permission
    ├── Misconfigured               ASK_HUMAN  wrong team, not a bot, not this kind of server
    └── Refused                     GIVE_UP    the far side will never accept this message
        ├── TooLong                            over the server's limit
        └── PlaceGone                          channel archived, thread's root deleted

No message text and no secret is ever part of an error's own text.
"""

from __future__ import annotations

from enum import StrEnum


class Remedy(StrEnum):
    """Who or what can mend it."""

    RETRY = "retry"
    LOOK_UP = "look_up"
    ASK_HUMAN = "ask_human"
    GIVE_UP = "give_up"


class AdapterError(Exception):
    """Base of all. `advice` is one sentence for the person who can mend it."""

    remedy = Remedy.RETRY
    code = "adapter_error"

    def __init__(self, detail: str, *, advice: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.advice = advice


class Passing(AdapterError):
    """Disturbed for now; the same call may succeed later."""

    code = "passing"

    def __init__(self, detail: str, *, advice: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(detail, advice=advice)
        self.retry_after_s = retry_after_s


class Unreachable(Passing):
    """No connection was made, so nothing was sent."""

    code = "unreachable"


class TimedOut(Passing):
    """No answer in time to a call without effect."""

    code = "timed_out"


class RateLimited(Passing):
    """429: wait `retry_after_s` seconds."""

    code = "rate_limited"


class FarSideFailed(Passing):
    """5xx, or an answer that is not of the protocol."""

    code = "far_side_failed"


class OutcomeUnknown(AdapterError):
    """A call with an effect was cut off after it may have arrived."""

    remedy = Remedy.LOOK_UP
    code = "outcome_unknown"


class CredentialRefused(AdapterError):
    """The far side refused the token or password."""

    remedy = Remedy.ASK_HUMAN
    code = "credential_refused"


class NotAllowed(AdapterError):
    """The account lacks a permission or a membership."""

    remedy = Remedy.ASK_HUMAN
    code = "not_allowed"


class Misconfigured(AdapterError):
    """The settings point at something else than they should."""

    remedy = Remedy.ASK_HUMAN
    code = "misconfigured"


class Refused(AdapterError):
    """The far side will never accept this message."""

    remedy = Remedy.GIVE_UP
    code = "refused"


class TooLong(Refused):
    """Longer than the server's limit."""

    code = "too_long"


class PlaceGone(Refused):
    """The channel or thread is no longer there, or closed to us."""

    code = "place_gone"
