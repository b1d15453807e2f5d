"""Moments as people type them: `2026-11-21T15:04`, or how long ago: `90s`, `15m`, `2h`, `3d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import rich_click as click

_AGO: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    """A point in time; without a zone it is UTC."""

    name = "moment"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        from fleetprompt.kernel import clock

        if isinstance(value, datetime):
            return value
        ago = _AGO.fullmatch(value)
        try:
            if ago is not None:
                return clock.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no moment: write 2026-11-21T15:04 (UTC), or 15m, 2h, 3d for ago.", param, ctx
            )
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


since = click.option("--since", type=Moment(), metavar="MOMENT", help="From then on: 2026-11-21T15:04 or 2h.")
until = click.option("--until", type=Moment(), metavar="MOMENT", help="Before then.")
