"""What flags and ranks rest on beside the samples, measured again: trust in the gradient, and what the purifier does to attacked images."""

from collections.abc import Iterator, Mapping

import numpy as np

from rbench.results import sample_columns as column
from rbench.results.flags.catalogue import threshold
from rbench.results.flags.gradient_trust import distrusted, of_its_batch
from rbench.results.record import Record
from rbench.running.conclude import facts_of_attacked
from rbench.running.prepare import Prepared


def trust_faults(said: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    """Whether the gradient is trusted by what is recorded and not by what was measured again, or the other way round.

    Args:
        said: the recorded audit.
        found: the audit made again.
    """
    attacked = {"kept_promise": said.get("kept_promise")}  # measured on stored examples, see `attacked_faults`
    before, now = distrusted(said), distrusted({**found, **attacked})
    if (before is None) != (now is None):
        words = [why or "nothing speaks against the gradient" for why in (before, now)]
        yield f"audit: {words[0]}; measured again: {words[1]}"
    if (of_its_batch(said) is None) != (of_its_batch(found) is None):
        yield f"audit.batch_difference: {said.get('batch_difference')}, measured again {found['batch_difference']:.3g}"


def attacked_faults(
    prepared: Prepared, record: Record, judged: Mapping[str, np.ndarray], examples: tuple[np.ndarray, np.ndarray]
) -> Iterator[str]:
    """What was measured on attacked images and is another now; nothing where only some of them were stored.

    Args:
        prepared: the cell, audited again.
        record: as it was recorded.
        judged: the columns of predictions, judged again.
        examples: the stored attacked images [M, C, H, W] and their ids [M].
    """
    images, stored = examples
    order = np.argsort(stored)
    if not np.array_equal(stored[order], prepared.ids):
        return
    select = judged[column.SELECT_PREDICTIONS]
    found = facts_of_attacked(prepared, {column.IMAGES: images[order], column.SELECT_PREDICTIONS: select})
    limits = {"leaks": threshold("leaks", "share"), "kept_promise": threshold("provisional", "promise")}
    for name, limit in limits.items():
        said, now = record.audit.get(name), found[name]
        if _above(said, limit) != _above(now, limit):
            yield f"audit.{name}: {said}, measured again {now}"
    flagged = any(flag.name == "leaks" for flag in record.flags)
    if flagged != (_above(found["leaks"], limits["leaks"]) is True):
        yield f"flag leaks: {'raised' if flagged else 'not raised'}, measured again {found['leaks']}"


def _above(value: object, limit: float) -> bool | None:
    return value > limit if isinstance(value, int | float) else None
