"""The documentation as a site: `python -m tools.site` puts the pages together and has mkdocs build them, strictly.

Pages are read on a forge as they are, so their links lead to files of the repository. In the site what lies outside of `docs/` is a copy
under `repository/`, pages among them, and the notebook is a page.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = Path("docs")
PAGES, SITE = ROOT / "build/pages", ROOT / "build/site"

_LINK = re.compile(r"""(\]\(|src=")([^)\s#"]+)(#[^)\s"]*)?(\)|")""")
_NO_PAGES = {".py"}
"""Files of `docs/` that are no part of the site as they are."""


def assemble(target: Path) -> None:
    """Puts all pages into an empty folder, and what they link to."""
    queue = sorted(path.relative_to(ROOT) for path in (ROOT / DOCS).rglob("*") if path.is_file() and _is_part(path))
    done: set[Path] = set()
    while queue:
        path = queue.pop()
        if path not in done:
            done.add(path)
            queue += _copy(path, target / place(path))


def place(path: Path) -> Path:
    """Where a file of the repository lies in the site."""
    if _is_notebook(path):
        path = path.with_suffix(".md")
    return path.relative_to(DOCS) if path.is_relative_to(DOCS) else "repository" / path


def build(pages: Path = PAGES, built: Path = SITE) -> "subprocess.CompletedProcess[str]":
    """Puts all pages together and builds the site; what mkdocs said of it."""
    shutil.rmtree(pages, ignore_errors=True)
    assemble(pages)
    return rendered(pages, built)


def rendered(pages: Path, built: Path) -> "subprocess.CompletedProcess[str]":
    """Builds the site from a folder of pages; not with --quiet, under which mkdocs counts no warnings and lets all pass."""
    environment = {**os.environ, "RBENCH_DOCS": str(pages), "RBENCH_SITE": str(built), "NO_MKDOCS_2_WARNING": "1"}
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(ROOT / "mkdocs.yml")]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def _is_part(path: Path) -> bool:
    return path.suffix not in _NO_PAGES or _is_notebook(path)


def _is_notebook(path: Path) -> bool:
    return path.suffix == ".py" and path.parent.name == "notebooks"


def _copy(path: Path, target: Path) -> list[Path]:
    """Copies a file; the files of the repository that it links to, if it is a page."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".md" and not _is_notebook(path):
        shutil.copyfile(ROOT / path, target)
        return []
    text = _notebook(ROOT / path) if _is_notebook(path) else (ROOT / path).read_text(encoding="utf-8")
    linked: list[Path] = []

    def led(found: re.Match[str]) -> str:
        there = _inside(path, found[2])
        if there is None:
            return found[0]
        linked.append(there)
        return f"{found[1]}{os.path.relpath(place(there), place(path).parent)}{found[3] or ''}{found[4]}"

    target.write_text(_LINK.sub(led, text), encoding="utf-8")
    return linked


def _inside(page: Path, link: str) -> Path | None:
    """The file of the repository that a relative link leads to; None if it leads elsewhere."""
    if re.match(r"[a-z]+:|/", link):
        return None
    there = Path(os.path.normpath(page.parent / link))
    return there if (ROOT / there).is_file() else None


def _notebook(path: Path) -> str:
    import jupytext

    text: str = jupytext.writes(jupytext.read(path), fmt="md")
    return re.sub(r"\A---\n.*?^---\n", "", text, flags=re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    said = build()
    sys.stderr.write(said.stdout + said.stderr)
    sys.stdout.write("" if said.returncode else f"{SITE / 'index.html'}\n")
    sys.exit(said.returncode)
