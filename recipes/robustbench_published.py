"""Make the published figures that come with rbench out of a table of RobustBench's model cards.

    python recipes/robustbench_published.py robustbench-published.csv --date 2025-03-31

The table has a line for each card (`model_info/DATA/THREAT/MODEL.json`), with the figures in percent as they are printed there: `standard`,
`autoattack`, `external` (best known attack), `corruptions`, `corruptions_mce`, `reported` (by the paper). Figures are facts; cite
RobustBench and the paper of the row.
"""

import argparse
import csv
import hashlib
import json
from pathlib import Path

OUT = Path(__file__).parents[1] / "rbench" / "claims" / "robustbench.json"
NUMBERS = ("standard", "autoattack", "external", "corruptions", "corruptions_mce", "reported")
WORDS = ("dataset", "threat", "model", "architecture", "eps")
LAST = ("unreliable", "paper")


def main() -> None:
    """Parse the command line, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="the table, as CSV")
    parser.add_argument("--date", required=True, help="the day of the cards, as 2025-03-31")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    columns = (*WORDS, *NUMBERS, *LAST)
    with args.table.open(encoding="utf-8", newline="") as file:
        rows = [[value(name, row[name]) for name in columns] for row in csv.DictReader(file)]
    head = {
        "name": "RobustBench",
        "date": args.date,
        "source": "model cards of https://github.com/RobustBench/robustbench (Croce et al. 2021, arXiv 2010.09670)",
        "unit": "percent, as printed; eps on the [0, 1] pixel scale",
        "recipe": "recipes/robustbench_published.py",
        "table_sha256": hashlib.sha256(args.table.read_bytes()).hexdigest(),
        "columns": columns,
    }
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
    fields = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    args.out.write_text(f'{fields},\n "rows": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    print(f"{len(rows)} rows, {args.out.stat().st_size} bytes")


def value(name: str, text: str) -> str | float | bool | None:
    """A field of the table: a number, a word, or null where the card has none."""
    if text in ("", "null"):
        return None
    if name in NUMBERS:
        return float(text)
    return text == "True" if name == "unreliable" else text


if __name__ == "__main__":
    main()
