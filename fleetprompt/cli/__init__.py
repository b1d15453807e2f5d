"""The command line: one file a noun, each command thin: parse, call one handler, print.

What is imported at the top of these files is what `--help` waits for, so everything heavy is imported where it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 = done, 1 = it did not work (one sentence on stderr), 2 = wrong usage."""
    from fleetprompt.cli.faults import exit_code_of
    from fleetprompt.cli.root import cli

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_broken(words)
        cli.main(words, prog_name="fleetprompt")
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the outermost edge: a person reads a sentence, not a traceback
        sys.exit(exit_code_of(error))


def _refuse_broken(words: Sequence[str]) -> None:
    """Bytes that are no UTF-8 arrive as lone surrogates, which no database takes. Raises InvalidInput."""
    from fleetprompt.kernel.errors import InvalidInput

    for number, word in enumerate(words, 1):
        if not word.isascii() and any("\ud800" <= letter <= "\udfff" for letter in word):
            shown = ascii(word[:60])
            raise InvalidInput(
                f"Argument {number} is not UTF-8: {shown}.", "Write it again, in a UTF-8 terminal."
            )
