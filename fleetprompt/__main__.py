"""`python -m fleetprompt` is the `fleetprompt` command."""

from fleetprompt.cli import main

main()
