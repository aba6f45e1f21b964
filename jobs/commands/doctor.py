"""`ipseg doctor`: what is installed."""

from __future__ import annotations

from jobs.commands.options import Json


def doctor(json: Json = False) -> None:
    """Say what is installed, which devices are there, and how much memory."""
    from jobs.doctor import print_doctor

    print_doctor(as_json=json)
