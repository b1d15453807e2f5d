"""The `fleetprompt` command and its parts."""

from __future__ import annotations

import rich_click as click

from fleetprompt.cli.agents import agents
from fleetprompt.cli.claiming import bootstrap, claim
from fleetprompt.cli.credentials import reauth, secret
from fleetprompt.cli.database import database
from fleetprompt.cli.demo import demo
from fleetprompt.cli.directives import directives
from fleetprompt.cli.doctor import doctor
from fleetprompt.cli.executions import executions
from fleetprompt.cli.identities import accounts, unlink
from fleetprompt.cli.jobs import jobs
from fleetprompt.cli.keys import keys
from fleetprompt.cli.mail import mail
from fleetprompt.cli.master_key import rotate_master
from fleetprompt.cli.members import members
from fleetprompt.cli.migrate import migrate
from fleetprompt.cli.organizations import organizations
from fleetprompt.cli.packages import packages
from fleetprompt.cli.processes import listener, up, web, worker
from fleetprompt.cli.signals import signals
from fleetprompt.cli.skills import skills
from fleetprompt.cli.trace import trace
from fleetprompt.cli.workflows import workflows

click.rich_click.COMMAND_GROUPS = {
    "fleetprompt": [
        {"name": "See it", "commands": ["demo"]},
        {"name": "Run it", "commands": ["up", "web", "worker", "listener", "migrate", "database"]},
        {"name": "Look after it", "commands": ["doctor", "trace"]},
        {
            "name": "Set it up",
            "commands": ["bootstrap", "org", "member", "key", "agent", "package", "skills", "workflow"],
        },
        {"name": "What happened", "commands": ["signals", "executions", "directives", "jobs", "mail"]},
    ]
}
click.rich_click.MAX_WIDTH = 100


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleetprompt", message="%(prog)s %(version)s")
def cli() -> None:
    """Agents that answer in the channels your team already has.

    New here: `fleetprompt demo`. Settings are environment variables FLEETPROMPT_*; without any, FleetPrompt keeps
    its own Postgres in the data directory and needs no key.
    """


for command in (
    demo,
    up,
    web,
    worker,
    listener,
    migrate,
    database,
    doctor,
    trace,
    bootstrap,
    organizations,
    members,
    keys,
    agents,
):
    cli.add_command(command)
for command in (claim, accounts, unlink):
    members.add_command(command)
keys.add_command(rotate_master)
for command in (secret, reauth):
    packages.add_command(command)
for command in (packages, skills, workflows, signals, executions, directives, jobs, mail):
    cli.add_command(command)
