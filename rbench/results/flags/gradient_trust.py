"""Whether what was measured of a defended model says that gradients may mislead an attacker, or that no attack met what was judged."""

from collections.abc import Mapping

from rbench.results.flags.catalogue import threshold


def distrusted(audit: Mapping[str, object]) -> str | None:
    """Why the gradient of a defended model is not to be trusted, in a few words; None where nothing measured speaks against it.

    What was not measured (older records lack some facts) speaks for nothing.

    Args:
        audit: what was measured, by name, as in a record.
    """
    if audit.get("reaches_input") is False:
        return "no gradient reaches the input"
    shares = {"non_finite": "not finite", "zero": "zero", "useless": "zero or not finite"}
    for name, what in shares.items():
        share = _number(audit, f"{name}_gradient_share")
        if share >= threshold("provisional", "share"):
            return f"the gradient is {what} for {100 * share:.0f} % of the audited samples"
    slopes = _number(audit, "slope_error")
    if slopes > threshold("wrong-gradient", "slopes in 16 bits" if audit.get("low_precision") else "slopes"):
        return f"the gradient is wrong: slopes differ by {slopes:.2g}"
    in_batches = _number(audit, "batch_gradient_error")
    if in_batches > threshold("wrong-gradient", "slopes"):
        return f"the gradient is wrong in large batches: it differs by {in_batches:.2g}"
    replayed = _number(audit, "checkpointed_error")
    if replayed > threshold("wrong-gradient", "replayed"):
        return f"the checkpointed gradient is wrong: it differs by {replayed:.2g}"
    if isinstance(squashed := audit.get("not_logits"), str):
        return f"the outputs are {squashed}, whose gradients vanish where they saturate"
    kept = audit.get("kept_promise")
    if isinstance(kept, int | float) and kept < threshold("provisional", "promise"):
        return f"the gradient is wrong at attacked images: a step along it raises the margin by {kept:.2g} of what it promises"
    return "the stand-in that was asked for misleads" if audit.get("stand_in_misleads") is True else None


def of_its_batch(audit: Mapping[str, object]) -> str | None:
    """In a few words that an image gets quite another answer in another batch, so that attack and judge met other models; None if not.

    Args:
        audit: what was measured, by name, as in a record.
    """
    found = _number(audit, "batch_difference")
    return f"logits differ by {found:.2g} in another batch" if found > threshold("provisional", "batch") else None


def _number(audit: Mapping[str, object], name: str) -> float:
    found = audit.get(name)
    return float(found) if isinstance(found, int | float) else 0.0
