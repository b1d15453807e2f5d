"""A draft as the person who decides sees it: who gets it, what is known of who wrote, and the very text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleetprompt.model import Directive, Installation, Signal
from fleetprompt.tenancy import TenantSession


async def preview(session: TenantSession, directive: Directive) -> str:
    """Plain text."""
    arguments = directive.arguments
    installation = await session.get(Installation, directive.installation_id)
    mail = await session.get(Signal, arguments["answers"])
    config = installation.config if installation is not None else {}
    lines = [
        f"From:    {config.get('from_address') or config.get('username', '')}",
        f"To:      {', '.join(arguments['to'])}",
        *([f"Cc:      {', '.join(arguments['cc'])}"] if arguments["cc"] else []),
        f"Subject: {arguments['subject']}",
        *(answered(mail.payload) if mail is not None else ["In answer to a mail that is no longer kept."]),
        "",
        arguments["text"],
    ]
    return "\n".join(lines)


def answered(mail: Mapping[str, Any]) -> Iterator[str]:
    """Whose mail is answered, and how far that can be believed."""
    author = mail["author"]
    name = f"{author['name']} " if author["name"] else ""
    yield f"Answers: {name}<{author['id']}>, {trust_words(mail.get('trust') or {})}"
    for warning in warnings(mail):
        yield f"Warning: {warning}"


def trust_words(trust: Mapping[str, Any]) -> str:
    """`sender unverified`, with what Proton says."""
    checks = [f"{name}={trust[name]}" for name in ("spf", "dkim", "dmarc") if trust.get(name)]
    told = f" ({', '.join(checks)})" if checks else ""
    return f"sender {trust.get('verdict', 'unverified')}{told}"


def warnings(mail: Mapping[str, Any]) -> Iterator[str]:
    """What a person should know before they answer."""
    trust = mail.get("trust") or {}
    if trust.get("imitates"):
        yield f"the sender's name imitates another address: {trust['imitates']}"
    if trust.get("from_headers", 1) != 1:
        yield f"the mail has {trust['from_headers']} From headers"
    if trust.get("reply_elsewhere"):
        yield "the mail wants its answer sent to another domain; it goes to the sender"
    if trust.get("verdict") in ("fail", "conflicting"):
        yield "the sender's address is probably forged"
    if mail.get("attachments"):
        yield f"it has {len(mail['attachments'])} attachment(s), which the agent did not read"
