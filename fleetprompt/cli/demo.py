"""`fleetprompt demo`: the main scene on a sandbox Mattermost, on loopback."""

from __future__ import annotations

import sys

import rich_click as click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Play the main scene on a sandbox Mattermost: no account, no key."""
    import importlib

    scene = importlib.import_module("fleetprompt.sandbox.demo")  # by name: it pulls in the whole sandbox
    sys.exit(scene.main(list(arguments)))
