"""The steps of an installation's life, one file a verb: what each begins with, tries, completes, and leaves when it fails."""

from fleetprompt.packages.steps.base import Act, Begun, Done, Step, Tried
from fleetprompt.packages.steps.configure import Configure
from fleetprompt.packages.steps.install import Install
from fleetprompt.packages.steps.switch import Disable, Enable
from fleetprompt.packages.steps.uninstall import Uninstall
from fleetprompt.packages.steps.upgrade import Rollback, Upgrade

__all__ = [
    "Act",
    "Begun",
    "Configure",
    "Disable",
    "Done",
    "Enable",
    "Install",
    "Rollback",
    "Step",
    "Tried",
    "Uninstall",
    "Upgrade",
]
