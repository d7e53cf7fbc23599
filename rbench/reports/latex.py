"""The leaderboard as LaTeX tables in the style of booktabs, ready to paste into a paper."""

import re

from rbench.reports.corruptions import figures, sections, titles
from rbench.reports.corruptions import heading as heading_of
from rbench.reports.groups import Row, by_backbone, groups, heading, remark
from rbench.reports.plain import named, percent, visible
from rbench.reports.published import beside, has_published, legend
from rbench.results.corruption_rows import CorruptionRow
from rbench.results.flags.catalogue import FLAGS
from rbench.results.table import Table

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "-": "{-}",  # two of them would become a dash
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # at the start of a row it would be taken for the row's spacing
    "]": "{]}",
}

_PUBLISHED = "Published"
_SHORT = {"corruptions": "mCA", "published": "Publ."}
_WIDE = 8
"""From so many figures on, a line of a table is set smaller and closer."""
_COLUMNS = {
    "Purifier": "l",
    "Standard": "r",
    "Robust": "r",
    "95\\,\\% interval": "c",
    _PUBLISHED: "r",
    "Blind": "r",
    "Flags": "l",
}


def report(table: Table) -> dict[str, str]:
    """Tables in the style of booktabs, ready to paste."""
    return {"leaderboard.tex": latex(table)}


def latex(table: Table) -> str:
    """A `table` environment for each group of rows; needs the packages booktabs, textcomp and fontenc with T1."""
    parts = [*map(_group, groups(table)), *map(_corrupted, sections(table))]
    return "% \\usepackage{booktabs,textcomp} \\usepackage[T1]{fontenc}\n" + "\n".join(parts)


def latex_text(text: str) -> str:
    """The text with LaTeX's special characters escaped; characters beyond ASCII are spelled out, since not every font has them."""
    ascii_only = visible(text).encode("ascii", "backslashreplace").decode("ascii")
    return "".join(_SPECIAL.get(character, character) for character in ascii_only)


def _group(rows: list[Row]) -> str:
    """The table of a group, without rows that have not been run in full: those are in a comment."""
    kept = [row for row in rows if row["robust_accuracy"] is not None or not str(row["status"]).startswith("missing")]
    left = [f"% left out, {_comment(row['status'])}: {_comment(row['purifier'])}" for row in rows if row not in kept]
    return "\n".join([*left, *([_environment(kept)] if kept else [])])


def _comment(text: object) -> str:
    """The text on one line of a comment."""
    return visible(str(text)).encode("ascii", "backslashreplace").decode("ascii")


def _environment(rows: list[Row]) -> str:
    raised = [name for name in FLAGS if any(name in row["flags"] for row in rows)]
    shown = "; ".join(f"{FLAGS[name].short} {latex_text(name)}" for name in raised)
    columns = _columns(rows)
    caption = " ".join(
        part
        for part in (
            f"{latex_text(heading(rows))}: accuracy in percent.",
            "Robust is the worst case over all attacks with its 95\\,\\% interval, blind that over attacks that ignore the purifier.",
            latex_text(_sentence(legend())) if _PUBLISHED in columns else "",
            latex_text(remark(rows)),
            f"Flags: {shown}." if shown else "",
        )
        if part
    )
    head = [" & ".join(columns)]
    return _floating(caption, _label(heading(rows)), "".join(columns.values()), head, _lines(rows, columns))


def _label(text: str) -> str:
    """What references find the table by: its heading, in letters that every LaTeX takes."""
    plain = re.sub(r"[^a-z0-9.]+", "-", text.encode("ascii", "ignore").decode("ascii").lower())
    return f"tab:{plain.strip('-.')}"


def _floating(caption: str, label: str, layout: str, head: list[str], lines: list[str], size: str = "\\small") -> str:
    """A `table` environment in the style of booktabs.

    Args:
        caption: above the table.
        label: what it is referred to by.
        layout: how each column is aligned.
        head: lines above the rule, without their ends.
        lines: those below it.
        size: of the type, and what else is set for this table alone.
    """
    return "\n".join(
        [
            "\\begin{table}",
            "  \\centering",
            f"  {size}",
            f"  \\caption{{{caption}}}",
            f"  \\label{{{label}}}",
            f"  \\begin{{tabular}}{{{layout}}}",
            "    \\toprule",
            *(f"    {line} \\\\" for line in head),
            "    \\midrule",
            *lines,
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def _corrupted(rows: list[CorruptionRow]) -> str:
    """A `table` environment for common corruptions: rows under a line for each backbone, severities under one title."""
    shown = titles(rows)
    severities = [name for name in shown if name.startswith("severity ")]
    robust = [name for name in shown if name.startswith("robust ")]
    above, below = ["Purifier"], [""]
    for name in shown:
        if name not in severities:
            above.append(_SHORT.get(name) or latex_text(_sentence(name.split(" (")[0])))
            below.append("")
            continue
        if name == severities[0]:
            above.append(f"\\multicolumn{{{len(severities)}}}{{c}}{{Severity}}")
        below.append(latex_text(name.removeprefix("severity ")))
    caption = " ".join(
        [
            f"{latex_text(heading_of(rows))}: accuracy in percent.",
            "mCA is the mean over corruptions, its interval clustered by image.",
            *(["Publ. is the mCA that was published of the same model."] if "published" in shown else []),
            *(f"{latex_text(_sentence(name))} is the worst case over attacks." for name in robust),
        ]
    )
    head = [" & ".join(above), *([" & ".join(below)] if severities else [])]
    size = "\\small" if len(shown) < _WIDE else "\\footnotesize\\setlength{\\tabcolsep}{3pt}"
    label = _label(f"corruptions {heading_of(rows)}")
    return _floating(caption, label, "l" + "r" * len(shown), head, _corrupted_lines(rows, shown), size)


def _corrupted_lines(rows: list[CorruptionRow], shown: list[str]) -> list[str]:
    parts = dict[str, list[list[str]]]()
    for row in rows:
        values = [one.replace("-", "--") for one in figures(row, shown)]
        parts.setdefault(row.backbone, []).append([latex_text(named(row.purifier)), *values])
    return _under(list(parts.items()), len(shown) + 1, "\\ ")


def _columns(rows: list[Row]) -> dict[str, str]:
    """The columns of a table with how each is aligned; that of published figures only where there is one."""
    return {name: align for name, align in _COLUMNS.items() if name != _PUBLISHED or has_published(rows)}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _lines(rows: list[Row], columns: dict[str, str]) -> list[str]:
    """The body: rows under a line for each backbone, where there are several; a single one is in the caption."""
    best = min((row["rank"] for row in rows if row["rank"] is not None), default=None)
    parts = [(str(part[0]["backbone"]), [_cells(row, columns, best) for row in part]) for part in by_backbone(rows)]
    return _under(parts, len(columns), "\\quad ")


def _under(parts: list[tuple[str, list[list[str]]]], width: int, indent: str) -> list[str]:
    """The cells of rows under a line for each backbone, where there are several.

    Args:
        parts: backbones with the cells of their rows, of which one may span columns.
        width: of the table in columns.
        indent: before a row that stands under such a line.
    """
    if len(parts) == 1:
        return [f"    {' & '.join(cells)} \\\\" for cells in parts[0][1]]
    lines = list[str]()
    for place, (backbone, rows) in enumerate(parts):
        lines += ["    \\addlinespace"] if place else []
        lines.append(f"    \\multicolumn{{{width}}}{{l}}{{\\textit{{{latex_text(named(backbone))}}}}} \\\\")
        lines += [f"    {indent}{' & '.join(cells)} \\\\" for cells in rows]
    return lines


def _cells(row: Row, columns: dict[str, str], best: int | None) -> list[str]:
    names = [latex_text(named(row["purifier"]))]
    published = [latex_text(beside(row))] if _PUBLISHED in columns else []
    flags = " ".join(FLAGS[name].short for name in row["flags"])
    if row["robust_accuracy"] is None:
        state = latex_text(named(row["status"].split(":")[0]))
        return [
            *names,
            percent(row["standard_accuracy"]),
            f"\\multicolumn{{2}}{{c}}{{{state}}}",
            *published,
            "--",
            flags,
        ]
    interval = f"{percent(row['robust_low'])}--{percent(row['robust_high'])}"
    robust = percent(row["robust_accuracy"])
    blind = "--" if row["blind_robust_accuracy"] is None else percent(row["blind_robust_accuracy"])
    return [
        *names,
        percent(row["standard_accuracy"]),
        f"\\textbf{{{robust}}}" if row["rank"] == best else robust,
        interval,
        *published,
        blind,
        flags,
    ]
