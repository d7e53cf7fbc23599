"""The picture of the site's front page: `python -m tools.front_page` after `make docs`."""

import shutil

from playwright.sync_api import sync_playwright

from tools.site import ROOT, SITE


def main() -> None:
    """Takes the front page, as wide as a laptop, into docs/site.png."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto((SITE / "index.html").as_uri())
        tab.wait_for_timeout(500)
        tab.screenshot(path=ROOT / "docs/site.png")
        browser.close()


if __name__ == "__main__":
    main()
