"""What a leaderboard shows, from the code: its columns, and the flags with meaning, cause and cure."""

from rbench.results.columns import COLUMNS
from rbench.results.flags.catalogue import FLAGS
from tools.reference.words import code, table


def columns() -> str:
    """The columns of `leaderboard.csv`."""
    better = {"higher": "higher is better", "lower": "lower is better", None: ""}
    rows = [[code(name), one.meaning, one.unit, better[one.direction]] for name, one in COLUMNS.items()]
    return table(["column", "means", "unit", ""], rows)


def flags() -> str:
    """A section for each flag."""
    parts = []
    for name, facts in FLAGS.items():
        lines = [f"- **Seen:** {facts.meaning}", f"- **Usual cause:** {facts.cause}", f"- **Cure:** {facts.cure}"]
        lines += [f"- Threshold: {one.text} ({one.of})." for one in facts.thresholds.values()]
        parts += [f"### {name} ({facts.short})", "\n".join(lines)]
    return "\n\n".join(parts)
