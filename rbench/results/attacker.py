"""What the attacker of a record used, also where the record is older than the fields that say so."""

from functools import cache
from typing import Any, NamedTuple

from rbench.errors import RbenchError
from rbench.registry import registry, split_name
from rbench.results.record import Knows, Record
from rbench.signature import static
from rbench.signature.source import ModuleMissingError, NotStaticError

_LABEL_LOSSES = ("ce", "dlr", "margin", "dlr-targeted", "margin-targeted")
"""The losses that look at the label."""


class Attacker(NamedTuple):
    """What an attacker used.

    Attributes:
        knows: as in the record; `blind` where the gradient path was blind, even if the attack could have used more.
        steps: gradient steps of a restart up a loss of the label; None where there are none, or nobody can tell.
    """

    knows: Knows
    steps: int | None


def attacker_of(record: Record) -> Attacker:
    """The attacker of a finished cell."""
    attack = record.attack
    said = Attacker(attack.knows, attack.steps) if attack.knows else _of_older(record)
    return said._replace(knows="blind") if said.knows == "white-box" and attack.gradient == "blind" else said


def asks_outputs(record: Record) -> bool:
    """Whether a finished cell has asked for the outputs of the defended model alone, with a part of its attack or with all of it."""
    attack = record.attack
    if record.rungs:
        return any(rung.path == "none" for rung in record.rungs)
    if attack.gradient == "blind":  # what it asked was the bare backbone
        return False
    facts, _ = _facts(attack.name)
    members = attack.params.get("attacks")
    asked = members if isinstance(members, list) else []
    return (
        attacker_of(record).knows == "black-box"
        or attack.params.get("version") in facts.get("black_box_versions", ())
        or not set(map(str, asked)).isdisjoint(facts.get("black_box_members", ()))
    )


def _of_older(record: Record) -> Attacker:
    """From what rbench's own attacks say of themselves today, and from the parameters and losses that the record has.

    What they do not speak of is taken for white-box: attacks of plug-ins too, since reading a record neither runs nor trusts code that it
    names.
    """
    facts, item = _facts(record.attack.name)
    knows: Knows = "black-box" if item in facts.get("black_box", ()) else facts.get("knows", "white-box")
    steps = 1 if item in facts.get("one_step", ()) else facts.get("steps", record.attack.params.get("steps"))
    looks_at_label = not record.rungs and record.audit.get("loss", "ce") in _LABEL_LOSSES
    counted = looks_at_label and isinstance(steps, int)
    return Attacker(knows, steps if counted else None)


@cache
def _facts(name: str) -> tuple[dict[str, Any], str | None]:
    """The constants of the module of an attack of ours, read from its source; and the part of the name after the colon."""
    base, item = split_name(name)
    try:
        component = registry("attack").get(base)
        ours = component.module.partition(".")[0] == __name__.partition(".")[0]
        return (static.facts(component.module, component.attribute) if ours else {}), item
    except (RbenchError, NotStaticError, ModuleMissingError):
        return {}, item
