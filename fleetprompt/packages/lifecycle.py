"""What a person asks for, whichever door they come through. Each is a directive; a runner carries it out.

Everything is recorded in one transaction: the installation, its sealed secrets, the directive, the signal.
"""

from fleetprompt.packages.asking import Asked
from fleetprompt.packages.configuring import Change, configure, plan_configure, provide_secret
from fleetprompt.packages.installing import install
from fleetprompt.packages.switching import disable, enable, uninstall
from fleetprompt.packages.upgrading import UpgradePlan, plan_upgrade, rollback, upgrade

__all__ = [
    "Asked",
    "Change",
    "UpgradePlan",
    "configure",
    "disable",
    "enable",
    "install",
    "plan_configure",
    "plan_upgrade",
    "provide_secret",
    "rollback",
    "uninstall",
    "upgrade",
]
