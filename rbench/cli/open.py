"""`rbench open`: the page of a run folder in the browser."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from rbench.cli import terminal
from rbench.errors import InputError
from rbench.harmless import STORED, harmless

PAGE = "leaderboard.html"


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with a page, such as runs/quickstart.", show_default=False)
    ],
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print where the page is.")] = False,
) -> None:
    """Open the page of a run folder in the browser, and print where it is; where there is no browser, only that."""
    page = page_of(folder).resolve()
    terminal.say(harmless(page, STORED))
    if not no_browser and has_screen():
        try:
            webbrowser.open(page.as_uri())
        except (webbrowser.Error, OSError) as error:
            terminal.note(f"no browser could be opened: {error}")


def page_of(folder: Path) -> Path:
    """The page of a folder.

    Raises:
        InputError: it has none.
    """
    page = folder if folder.suffix == ".html" else folder / PAGE
    if page.is_file():
        return page
    if not folder.is_dir():
        raise InputError("no such folder.", place=folder, remedy="Give the folder that `rbench run` or `report` wrote.")
    raise InputError(f"no {PAGE} in it.", place=folder, remedy=f"rbench report {folder} --to html writes it.")


def has_screen() -> bool:
    """Whether a browser would have a window; in a terminal a text browser would be opened, which nobody has asked for."""
    if sys.platform in ("win32", "darwin") or os.environ.get("BROWSER"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
