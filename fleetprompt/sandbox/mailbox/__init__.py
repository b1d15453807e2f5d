"""A mailbox on loopback with the habits of Proton Mail Bridge, which fails on command."""

from fleetprompt.sandbox.mailbox.client import MailboxControl
from fleetprompt.sandbox.mailbox.records import Account, StoredMail, Submission, WireBytes
from fleetprompt.sandbox.mailbox.server import SandboxMailbox

__all__ = ["Account", "MailboxControl", "SandboxMailbox", "StoredMail", "Submission", "WireBytes"]
