"""The leaderboard as a frame, with what each column means: all that reporters read."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rbench.harmless import NAME, STORED, harmless
from rbench.results.columns import COLUMNS, Column
from rbench.results.corruption_rows import COLUMNS as CORRUPTED
from rbench.results.corruption_rows import CorruptionRow, corruption_rows, model_of
from rbench.results.flags.catalogue import FLAGS
from rbench.results.flags.of_row import RowFlag, inseparable
from rbench.results.labels import tell_apart
from rbench.results.published import COLUMNS as PUBLISHED
from rbench.results.published import fields_of, published_of
from rbench.results.rankings import rankings_of, reasons_apart
from rbench.results.row import Row, make_row
from rbench.results.rows import rows_of
from rbench.results.runs import Broken, ReadCell, Runs
from rbench.results.undefended import flag_near_chance
from rbench.results.worst_case import Values

if TYPE_CHECKING:
    import pandas as pd

THREADS = 4
"""The bootstraps of random rows are most of the work, and numpy lets other threads run meanwhile; each may take 40 MB."""


@dataclass(frozen=True, repr=False)
class Table:
    """The leaderboard. In a notebook it shows itself with its main columns.

    Attributes:
        records: a row for each (data, backbone, purifier, threat) as plain Python values by column, None where there is none; `flags` are
            tuples.
        doubts: the flags of each row with their values, in the same order.
        cells: what each row was made of, in the same order: the attacks in the order of the suite.
        outcomes: the value [n] of each sample of each row in its worst case, in the same order; None where a row has no number.
        broken: files that were not used.
        notes: what else a reader should know, one line each.
        columns: what the columns mean.
        corruptions: defended models under common corruptions, whether they have a row or not.
    """

    records: tuple[dict[str, Any], ...]
    doubts: tuple[tuple[RowFlag, ...], ...] = ()
    cells: tuple[tuple[ReadCell, ...], ...] = ()
    outcomes: tuple[Values | None, ...] = ()
    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()
    columns: dict[str, Column] = field(default_factory=lambda: dict(COLUMNS))
    corruptions: tuple[CorruptionRow, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """The rows, to be changed by whoever likes."""
        return [dict(record) for record in self.records]

    def having(self, cells: Collection[str]) -> "Table":
        """The rows that are made of some cells; ranks and flags are still those of the whole table.

        Args:
            cells: ids, of which a row has at least one.
        """
        kept = self.at([place for place, row in enumerate(self.cells) if any(cell.id in cells for cell in row)])
        corrupted = tuple(row for row in self.corruptions if any(cell.id in cells for cell in row.cells))
        return replace(kept, corruptions=corrupted)

    def at(self, kept: Sequence[int]) -> "Table":
        """Some of the rows, by their places; ranks and flags are still those of the whole table."""
        if len(kept) == len(self.records):
            return self
        return replace(
            self,
            records=tuple(self.records[place] for place in kept),
            doubts=tuple(self.doubts[place] for place in kept),
            cells=tuple(self.cells[place] for place in kept),
            outcomes=tuple(self.outcomes[place] for place in kept),
        )

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """The rows as a frame, columns as in `columns`. Made when it is asked for: pandas takes longer to import than a table to print."""
        import pandas as pd

        kinds = {"count": "Int64", "yes/no": "boolean", "text": "object"}
        frame = pd.DataFrame(list(self.records), columns=list(self.columns))
        return frame.astype({name: kinds.get(column.unit, "float64") for name, column in self.columns.items()})

    def __repr__(self) -> str:
        more = f", {len(self.corruptions)} of corruptions" if self.corruptions else ""
        return f"Table({len(self.records)} row{'' if len(self.records) == 1 else 's'}{more})"

    def _repr_html_(self) -> str:
        import pandas as pd

        rows = [{title: show(row) for title, show in _SHOWN.items()} for row in self.records]
        return str(pd.DataFrame(rows, columns=list(_SHOWN)).to_html(index=False, na_rep="-", border=0))


def _share(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: "-" if row[name] is None else f"{100 * row[name]:.1f}"


_SHOWN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "rank": lambda row: "-" if row["rank"] is None else row["rank"],
    "purifier": lambda row: harmless(row["purifier"], NAME),
    "backbone": lambda row: harmless(row["backbone"], NAME),
    "data": lambda row: f"{row['n']} of {harmless(row['dataset'], NAME)}",
    "threat": lambda row: f"{row['norm']} {harmless(row['eps_text'], NAME)}",
    "standard": _share("standard_accuracy"),
    "robust": lambda row: (
        harmless(row["status"], STORED)
        if row["robust_accuracy"] is None
        else " ".join([_share("robust_accuracy")(row), f"({_share('robust_low')(row)}-{_share('robust_high')(row)})"])
    ),
    "blind": _share("blind_robust_accuracy"),
    "flags": lambda row: ", ".join(row["flags"]),
}
"""What a notebook shows of a row, accuracies in percent."""


CASCADE = "(cascade): run on the samples that cheaper attacks of its row have left; its figure counts those as fooled."


def table(runs: Runs) -> Table:
    """Make the leaderboard: a row for each defended model under a threat; rows judged alike stand together."""
    rows, notes = rows_of(runs.cells)
    with ThreadPoolExecutor(THREADS) as threads:
        made = list(threads.map(make_row, rows))
    flag_near_chance(made)
    groups = rankings_of(made)
    folders = list(dict.fromkeys(cell.root for cell in runs.cells))
    notes += reasons_apart(groups, folders)
    notes += [note for group in groups for note in tell_apart(group)]
    ranked = [row for group in sorted(groups, key=_group_order) for row in _rank(group)]
    for row in ranked:
        raised = {flag.name for flag in row.flags}
        row.fields["flags"] = tuple(name for name in FLAGS if name in raised)
    columns = COLUMNS | PUBLISHED if _add_published(ranked) else COLUMNS
    corrupted = _beside(ranked, corruption_rows(runs.corrupted))
    if any("corruptions" in row.fields for row in ranked):
        columns = columns | CORRUPTED
    return Table(
        records=tuple(
            {name: _plain(row.fields.get(name), column.unit) for name, column in columns.items()} for row in ranked
        ),
        doubts=tuple(tuple(row.flags) for row in ranked),
        cells=tuple(tuple(row.cells) for row in ranked),
        outcomes=tuple(row.outcome for row in ranked),
        broken=runs.broken,
        notes=(*runs.notes, *notes, *([CASCADE] if any(cell.cascaded for cell in runs.cells) else [])),
        columns=dict(columns),
        corruptions=corrupted,
    )


def _add_published(rows: Sequence[Row]) -> bool:
    """Puts published figures beside those of the rows that have one; whether any has."""
    found = [(row, claim) for row in rows if (claim := published_of(row.cells[0]))]
    for row, claim in found:
        row.fields |= fields_of(claim, row.fields)
    return bool(found)


def _beside(rows: Sequence[Row], corrupted: Sequence[CorruptionRow]) -> tuple[CorruptionRow, ...]:
    """Puts mean corruption accuracies beside the rows of the same defended models, and robust accuracies beside those."""
    known = {row.model: row for row in corrupted}
    robust = dict[str, tuple[str, float]]()
    for row in rows:
        model = model_of(row.cells[0].document)
        value, found = row.fields.get("robust_accuracy"), known.get(model)
        if value is not None:
            robust.setdefault(model, (f"{row.fields['norm']} {row.fields['eps_text']}", value))
        if found is not None and found.mean is not None:
            mean = found.mean
            row.fields |= {
                "corruptions": mean.value,
                "corruptions_low": mean.low,
                "corruptions_high": mean.high,
                "corruptions_of": found.of,
            }
    return tuple(replace(row, robust=robust.get(row.model)) for row in corrupted)


def _group_order(group: Sequence[Row]) -> tuple[str, str, float, int, int, str]:
    fields, judge = group[0].fields, group[0].cells[0].document.get("judge")
    newest = -judge if isinstance(judge, int) else 0
    return fields["dataset"], fields["norm"], fields["eps"] or 0.0, -(fields["n"] or 0), newest, fields["group"]


def _rank(group: Sequence[Row]) -> list[Row]:
    """Order a group: verified, unverified, provisional, blocked rows. Rows that its samples cannot tell apart get a flag."""

    def order(row: Row) -> tuple[float, float, str, str]:
        robust, standard = row.fields.get("robust_accuracy"), row.fields.get("standard_accuracy")
        labels = row.fields["purifier"], row.fields["backbone"]
        return (-1.0 if robust is None else robust) * -1, -(standard or 0.0), *labels

    rows = sorted(group, key=order)
    # By accuracy alone: whether two rows can be told apart does not depend on who was verified.
    _flag_neighbours([row for row in rows if row.outcome is not None])
    rows.sort(key=lambda row: (row.outcome is None, _standing(row)))
    above: Row | None = None
    for place, row in enumerate(rows, 1):
        if row.outcome is None:
            break
        tied = (
            above
            and above.fields["robust_accuracy"] == row.fields["robust_accuracy"]
            and _standing(above) == _standing(row)
        )
        row.fields["rank"] = above.fields["rank"] if above and tied else place
        above = row
    return rows


def _standing(row: Row) -> tuple[bool, bool]:
    """What ranks before accuracy: provisional rows are below all others, and unverified ones below verified ones."""
    return any(flag.name == "provisional" for flag in row.flags), not row.fields["verified"]


def _flag_neighbours(judged: Sequence[Row]) -> None:
    for first, second in pairwise(judged):
        assert first.outcome is not None
        assert second.outcome is not None
        p_value = inseparable(first.outcome, second.outcome)
        if p_value is not None:
            for row, other in ((first, second), (second, first)):
                detail = f"cannot be told from {other.fields['purifier']} on {other.fields['backbone']}"
                row.flags.append(RowFlag("few-samples", p_value, f"{detail} (p = {p_value:.2f})"))


def _plain(value: Any, unit: str) -> Any:
    if unit == "text" or value is None:
        return value
    if value != value:  # not a number: there is none
        return None
    if unit == "count":
        return int(value)
    return bool(value) if unit == "yes/no" else float(value)
