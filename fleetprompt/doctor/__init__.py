"""`fleetprompt doctor`: is everything in order, and what to do about what is not. Looks only, unless asked to mend."""

from fleetprompt.doctor.examine import examine
from fleetprompt.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine"]
