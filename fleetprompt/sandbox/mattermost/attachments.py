"""Message attachments as clients see them."""

from __future__ import annotations

from typing import Any, Final


def public_props(props: dict[str, Any]) -> dict[str, Any]:
    """Props as clients see them: attachments filled up, the buttons' `integration` hidden."""
    attachments = props.get("attachments")
    if not isinstance(attachments, list):
        return dict(props)
    return props | {"attachments": [_public_attachment(a) for a in attachments if isinstance(a, dict)]}


def integrations_of(props: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What each button or menu calls, by the action's id; no client ever sees it."""
    attachments = props.get("attachments")
    found: dict[str, dict[str, Any]] = {}
    for attachment in attachments if isinstance(attachments, list) else ():
        actions = attachment.get("actions") if isinstance(attachment, dict) else None
        for action in actions if isinstance(actions, list) else ():
            if isinstance(action, dict) and isinstance(action.get("integration"), dict):
                kind = {"type": action.get("type") or "button"}
                found[str(action.get("id"))] = dict(action["integration"]) | kind
    return found


_EMPTY_ATTACHMENT: Final[dict[str, Any]] = {
    "id": 0,
    "fallback": "",
    "color": "",
    "pretext": "",
    "author_name": "",
    "author_link": "",
    "author_icon": "",
    "title": "",
    "title_link": "",
    "text": "",
    "fields": None,
    "image_url": "",
    "thumb_url": "",
    "footer": "",
    "footer_icon": "",
    "ts": None,
}


def _public_attachment(attachment: dict[str, Any]) -> dict[str, Any]:
    known = _EMPTY_ATTACHMENT | {k: v for k, v in attachment.items() if k in _EMPTY_ATTACHMENT}
    actions = [_public_action(a) for a in attachment.get("actions") or () if isinstance(a, dict)]
    return known | ({"actions": actions} if actions else {})


def _public_action(action: dict[str, Any]) -> dict[str, Any]:
    order = ("id", "type", "name", "disabled", "style", "data_source", "options", "default_option")
    return {name: action[name] for name in order if action.get(name)}
