"""Pictures of the leaderboard page for the documentation: `python docs/screenshots.py results/leaderboard.html docs`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FASHION = "#dataset=fashion-mnist-mini&threat=Linf+0.1"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def main(page: Path, folder: Path) -> None:
    """The overview, light and dark tables, an opened row, and a phone."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        _take(browser, page, folder / "page-overview.png", "", viewport=WIDE, color_scheme="light")
        _take(browser, page, folder / "page-light.png", FASHION, viewport=WIDE, color_scheme="light")
        _take(browser, page, folder / "page-dark.png", f"{FASHION}&sort=blind:down", viewport=WIDE, color_scheme="dark")
        _take(browser, page, folder / "page-row.png", "", open_row=True, viewport=WIDE, color_scheme="light")
        _take(
            browser,
            page,
            folder / "page-phone.png",
            "#table-1",
            viewport=PHONE,
            color_scheme="light",
            device_scale_factor=2,
        )
        browser.close()


def _take(browser: Browser, page: Path, target: Path, place: str, *, open_row: bool = False, **options: object) -> None:
    tab = browser.new_page(**options)
    tab.goto(page.resolve().as_uri() + place)
    if "=" in place:  # of what was filtered, not of the overview above it
        tab.locator(".filters").evaluate("form => form.scrollIntoView()")
    if open_row:
        row = tab.locator(".row:has(.ok):has(img)").first
        row.locator(".more summary").first.click()
        row.evaluate("row => row.scrollIntoView()")
    tab.wait_for_timeout(300)
    tab.screenshot(path=target)
    tab.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
