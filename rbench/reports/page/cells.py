"""The cells of a row as the page shows them when it is opened: ladders, budgets, costs, doubts, verification."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rbench.errors import InputError
from rbench.reports.page.machines import Machine, machine, own
from rbench.reports.page.marks import Rung, rung
from rbench.reports.page.words import count, duration, pairs
from rbench.reports.plain import percent
from rbench.results.flags.catalogue import FLAGS, FlagFacts
from rbench.results.record import ConvergencePart, Figure, Record
from rbench.results.runs import ReadCell
from rbench.results.store import RunFolder
from rbench.results.verification import Verification, read_verification

Pairs = Sequence[tuple[str, str]]

_BUDGETS = {
    "curve": "fewer steps",
    "budget": "the budget of the cell",
    "steps": "twice the steps",
    "restarts": "twice the restarts",
    "eot": "twice the draws a gradient",
    "eps": "no limit on the perturbation",
}


@dataclass(frozen=True)
class Doubt:
    """A flag of a cell or a row.

    Attributes:
        name: the flag.
        facts: meaning, cause and cure.
        seen: what was measured, in words.
    """

    name: str
    facts: FlagFacts
    seen: str


@dataclass(frozen=True)
class Budget:
    """An attack of another budget on the first samples of a cell."""

    what: str
    steps: int
    restarts: int
    eot: int
    samples: int
    robust: str
    loss: str


@dataclass(frozen=True)
class CellView:
    """A cell as the page shows it, most of it as text.

    Attributes:
        attack: its label.
        id: of the cell.
        state: `done`, or why there is no number.
        robust: robust accuracy under this attack alone, with its interval.
        figures: other accuracies, names and values.
        gradient: the gradient path in words.
        params: parameters of the attack.
        cost: time, passes and queries in words.
        doubts: its flags.
        rungs: bars of a ladder.
        budgets: the attacks with other budgets, if `protocol.convergence` asked for them.
        verified: the outcome of `rbench verify` in words; empty if the cell is not verified.
        provenance: what is known of this cell alone, names and values.
        machine: anchor of the machine and versions that it was run with; empty if they are not known.
    """

    attack: str
    id: str
    state: str
    robust: str
    figures: Pairs
    gradient: str
    params: Pairs
    cost: str
    doubts: Sequence[Doubt]
    rungs: Sequence[Rung]
    budgets: Sequence[Budget]
    verified: str
    provenance: Pairs
    machine: str


def cell_view(cell: ReadCell, machines: Mapping[Machine, str]) -> CellView:
    """A cell as the page shows it.

    Args:
        cell: what a run folder has of it.
        machines: the anchor of each machine.
    """
    record = cell.record
    if record is None:
        return CellView(cell.label("attack"), cell.id, cell.status, "-", (), "-", (), "", (), (), (), "", (), "")
    state = cell.status if record.error is None else f"{cell.status}: {record.error}"
    return CellView(
        attack=cell.label("attack"),
        id=cell.id,
        state=state,
        robust=_interval(record.summary.robust_accuracy) if record.summary else "-",
        figures=_figures(record),
        gradient=_gradient(record),
        params=pairs(record.attack.params),
        cost=_cost(record),
        doubts=[doubt(flag.name, flag.value, flag.detail) for flag in record.flags],
        rungs=[rung(part, record.dataset.samples) for part in record.rungs] if record.dataset.samples else [],
        budgets=[_budget(part) for part in record.convergence],
        verified=_verified(cell),
        provenance=_provenance(record),
        machine=machines.get(machine(record.provenance), ""),
    )


def doubt(name: str, measured: float | None, detail: str) -> Doubt:
    """A flag with what was measured."""
    seen = ": ".join(part for part in ("" if measured is None else f"{measured:.4g}", detail) if part)
    return Doubt(name, next(facts for known, facts in FLAGS.items() if known == name), seen)


def _interval(figure: Figure) -> str:
    return f"{percent(figure.value)} ({percent(figure.low)}-{percent(figure.high)})"


def _figures(record: Record) -> Pairs:
    if record.summary is None:
        return ()
    accuracies = [
        ("standard", record.summary.standard_accuracy),
        ("noise in the ball", record.summary.noise_accuracy),
        ("rounded to 8 bits", record.summary.robust_accuracy_8bit),
    ]
    confirmed = record.summary.confirmed
    upheld = [("judge upheld", f"{count(confirmed.confirmed)} of {count(confirmed.proposed)} proposed")]
    # Attacks of other libraries do not say which samples they claim to have fooled.
    return [
        *((name, percent(one.value)) for name, one in accuracies if one is not None),
        *(upheld if confirmed.proposed else []),
    ]


def _gradient(record: Record) -> str:
    attack = record.attack
    parts: list[str] = [attack.gradient or "-"]
    if attack.stand_in and attack.gradient == "bpda":
        parts.append(f"differentiating {attack.stand_in}")
    if attack.eot > 1:
        parts.append(f"{attack.eot} draws a gradient")
    return ", ".join(parts)


def _cost(record: Record) -> str:
    cost, n = record.cost, record.dataset.samples
    each = f" ({duration(cost.seconds / n)} an image)" if n else ""
    passes = f"{count(cost.forwards)} forward, {count(cost.backwards)} backward, {count(cost.purifier_passes)} purifier passes"
    return f"{duration(cost.seconds)}{each}, {passes}, {count(cost.queries)} queries"


def _budget(part: ConvergencePart) -> Budget:
    loss = "-" if part.loss is None else f"{part.loss:.3g}"
    robust = percent(part.robust_accuracy)
    return Budget(_BUDGETS[part.what], part.steps, part.restarts, part.eot, part.samples, robust, loss)


def _provenance(record: Record) -> Pairs:
    told = [("data", line) for line in record.dataset.told] + [("backbone", line) for line in record.backbone.told]
    return [*told, *own(record.provenance)]


def _verified(cell: ReadCell) -> str:
    """The outcome of verifying in a sentence or two; empty if the cell is not verified."""
    if not cell.verified:
        return ""
    try:
        verification = read_verification(RunFolder(cell.root).verified_path(cell.id))
    except InputError:
        return ""
    return "" if verification is None else " ".join(_sentences(verification))


def _sentences(outcome: Verification) -> list[str]:
    ties = f", {count(outcome.near_ties)} predictions differed by rounding" if outcome.near_ties else ""
    sentences = [f"{count(outcome.examples)} stored examples judged again{ties}."]
    if again := outcome.reattack:
        sentences.append(
            f"{count(again.fell)} of {count(again.attacked)} survivors of the row fell to another seed: with 95 % confidence at "
            f"most {percent(again.false_at_most)} % of the claimed ones are false."
        )
    if rerun := outcome.rerun:
        sentences.append(f"Run again with another seed, order and batch size: {percent(rerun.robust_accuracy)} %.")
    return sentences
