"""What went wrong on the wire, in the words of `adapters.errors`. No text of the far side is quoted.

The question that matters: may a mail have left? Before the first byte of DATA, no; afterwards nobody knows, since
Bridge answers 554 also when Proton took the mail and did not say so in time.
"""

from __future__ import annotations

import asyncio
import ssl

import aioimaplib  # type: ignore[import-untyped]
import aiosmtplib

from adapters.errors import (
    AdapterError,
    CredentialRefused,
    FarSideFailed,
    Misconfigured,
    OutcomeUnknown,
    TimedOut,
    Unreachable,
)

IMAP_ERRORS = (
    aioimaplib.AioImapException,
    OSError,
    EOFError,
    ValueError,
    asyncio.InvalidStateError,
)
SMTP_ERRORS = (aiosmtplib.SMTPException, OSError, EOFError, ValueError, RuntimeError)

CHECK_ADDRESS = "Check host and ports, and that Bridge runs."
MEND_LOGIN = "Copy user name and password from Bridge (mailbox details) and store them as username and bridge_password."
MEND_TLS = "Somebody may stand in between, or this is not Bridge: check host and port, and that Bridge uses STARTTLS."
MEND_CERTIFICATE = (
    "If Bridge was installed anew, export its certificate again (Settings > Export TLS certificates) and set it; "
    "otherwise somebody stands in between."
)
_TIMEOUTS = (TimeoutError, aiosmtplib.SMTPTimeoutError, aioimaplib.CommandTimeout)


class RefusedAfterData(OutcomeUnknown):
    """An error was answered once the mail was there. Bridge says 554 also when Proton has the mail and was slow to say so."""


def not_private(protocol: str, why: str) -> Misconfigured:
    """The connection could not be made private, so no credential was sent."""
    return Misconfigured(f"{protocol}: {why}; nothing was sent", advice=MEND_TLS)


def login_refused(protocol: str) -> CredentialRefused:
    """Wrong user name or password."""
    return CredentialRefused(f"{protocol}: the login was refused", advice=MEND_LOGIN)


def translate(error: BaseException, protocol: str) -> AdapterError:
    """One fault of a call without effect, typed."""
    name = type(error).__name__
    if isinstance(error, AdapterError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured(f"{protocol}: another certificate than the pinned one", advice=MEND_CERTIFICATE)
    if isinstance(error, ssl.SSLError):
        return not_private(protocol, f"TLS could not be established ({name})")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return login_refused(protocol)
    if isinstance(error, _TIMEOUTS):
        return TimedOut(f"{protocol}: no answer in time ({name})")
    return _lost_or_senseless(error, protocol)


def _lost_or_senseless(error: BaseException, protocol: str) -> AdapterError:
    name = type(error).__name__
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return translate(cause, protocol)
    lost = (OSError, EOFError, aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPConnectError)
    if isinstance(error, lost):
        return Unreachable(f"{protocol}: no connection ({name})", advice=CHECK_ADDRESS)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return FarSideFailed(f"{protocol}: answered {int(error.code)}")
    return FarSideFailed(f"{protocol}: the answer makes no sense ({name})")


def translate_sending(error: BaseException) -> AdapterError:
    """One fault after DATA has begun."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return RefusedAfterData(f"smtp: answered {int(error.code)} after it had the mail")
    return OutcomeUnknown(f"smtp: the connection was lost after the mail ({type(error).__name__})")
