"""Jobs: Postgres is the truth, taskiq carries."""

from fleetprompt.runtime.jobs.enqueue import NewJob, enqueue
from fleetprompt.runtime.jobs.work import Work

__all__ = ["NewJob", "Work", "enqueue"]
