"""Examples of every verb, shown by its `--help` and in the reference; a test holds them against the options that there are."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "quickstart": ("rbench quickstart", "rbench quickstart --out my-first-run"),
    "run": (
        "rbench run suites/quickstart.yaml --out runs/quickstart",
        "rbench run suite.yaml --limit 64 --only '*/jpeg/*'",
        "rbench run suite.yaml --set threat.eps=4/255 --workers 4",
        "rbench run suite.yaml --redo failed --fail-under jpeg=0.4",
    ),
    "plan": ("rbench plan suite.yaml", "rbench plan suite.yaml --probe --limit 128"),
    "status": ("rbench status runs/quickstart", "rbench status runs/quickstart --json"),
    "open": ("rbench open runs/quickstart", "rbench open runs/quickstart --no-browser"),
    "fit": ("rbench fit recipe.yaml --out weights",),
    "merge": ("rbench merge runs/mine runs/from-another-machine",),
    "bundle": ("rbench bundle results/quickstart --out quickstart.zip",),
    "report": (
        "rbench report results/quickstart",
        "rbench report results/quickstart --to latex,figures --out paper",
        "rbench report runs/mine results/quickstart --to html --out page",
    ),
    "compare": ("rbench compare results/quickstart cropd jpeg",),
    "verify": (
        "rbench verify results/quickstart",
        "rbench verify quickstart.zip --offline",
        "rbench verify runs/mine --survivors 100 --workers 4",
    ),
    "theory": ("rbench theory suites/cropd/fashion-theory.yaml --limit 200",),
    "list": ("rbench list", "rbench list purifiers", "rbench list backbones 'timm:resnet*'", "rbench list flags"),
    "show": ("rbench show purifier jpeg", "rbench show attack autoattack", "rbench show flag weak-gradient"),
    "new": ("rbench new purifier my-purifier",),
    "check": ("rbench check purifier jpeg quality=50", "rbench check dataset fashion-mnist-mini"),
    "doctor": ("rbench doctor",),
    "schema": ("rbench schema > suite.schema.json",),
}
"""Verb -> command lines."""


def epilog(verb: str) -> str:
    """What stands below the options in the help of a verb; its lines are not filled."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[verb])
