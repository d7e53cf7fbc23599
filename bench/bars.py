"""A measured figure beside its bar."""

import sys


def held(what: str, figure: float, bar: float, unit: str = "s") -> bool:
    """Prints a figure with its bar; whether it is within."""
    kept = figure <= bar
    sys.stdout.write(
        f"{what:58} {figure:6.2f} {unit:2} bar {bar:5.2f} {unit:2} {'' if kept else 'ABOVE'}".rstrip() + "\n"
    )
    sys.stdout.flush()
    return kept
