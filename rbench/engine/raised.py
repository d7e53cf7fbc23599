"""Where in a defended model an exception was raised: the layer, and what it takes."""

from torch import nn

_TAKEN = {"in_channels": "channels", "in_features": "features", "num_features": "channels", "normalized_shape": ""}
"""What a layer of torch says of its input, and the unit."""


def layer_of(error: BaseException, model: nn.Module) -> str | None:
    """The innermost layer whose code was running, in words; None where that is no part of the purifier or backbone.

    Args:
        error: as it was caught.
        model: the defended model.
    """
    names = {id(module): name for name, module in model.named_modules()}
    inner: nn.Module | None = None
    trace = error.__traceback__
    while trace is not None:
        running = trace.tb_frame.f_locals.get("self")
        if isinstance(running, nn.Module) and id(running) in names:
            inner = running
        trace = trace.tb_next
    if inner is None or (names[id(inner)] in ("", "purifier", "backbone") and not _of_torch(inner)):
        return None
    return f"in {names[id(inner)]}, a {type(inner).__name__}{_taken(inner)}"


def _of_torch(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


def _taken(layer: nn.Module) -> str:
    if not _of_torch(layer):
        return ""
    facts = [f"{getattr(layer, name)} {unit}".rstrip() for name, unit in _TAKEN.items() if hasattr(layer, name)]
    own = next(layer.parameters(recurse=False), None)
    facts += [] if own is None else [f"{own.dtype} on {own.device}"]
    return f" that takes {', '.join(facts)}" if facts else ""
