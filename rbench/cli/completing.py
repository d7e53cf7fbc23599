"""What a shell is offered for the arguments of verbs: kinds, and the names of a kind; read from metadata, nothing is imported."""

from typing import Any

FLAGS = ("flag", "flags")


def kinds(incomplete: str) -> list[str]:
    """The kinds, in the plural, and `flags`."""
    from rbench.registry import KINDS

    return [name for name in (*(f"{kind}s" for kind in KINDS), "flags") if name.startswith(incomplete)]


def kind(incomplete: str) -> list[str]:
    """The kinds, in the singular, and `flag`."""
    from rbench.registry import KINDS

    return [name for name in (*KINDS, "flag") if name.startswith(incomplete)]


def names(ctx: Any, incomplete: str) -> list[str]:
    """The names of the kind that was typed before; none if it is no kind."""
    from rbench.errors import RbenchError
    from rbench.registry import registry
    from rbench.results.flags.catalogue import FLAGS as CATALOGUE

    asked = str(ctx.params.get("kind") or "").lower()
    try:
        known = [str(flag) for flag in CATALOGUE] if asked in FLAGS else list(registry(asked).names())
    except RbenchError:
        return []
    return [name for name in known if name.startswith(incomplete)]
