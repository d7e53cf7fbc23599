"""The items of a source, which are the texts after its colon: which there are, and what is known of one.

Two optional functions beside a source say more of its items than its signature does. `items()` lists the names that it knows without
importing what it wraps; `takes(item)` says of any other text whether it is an item as well, such as a folder. A third, `about(item)`, maps
words such as `origin` and `license` to what is known of one.
"""

from collections.abc import Iterable

from rbench.elsewhere import data_of, located
from rbench.harmless import STORED, one_line
from rbench.registry.component import Component
from rbench.signature import ParameterError, nearest

_CLOSE = 3


def items_of(component: Component) -> tuple[str, ...]:
    """The items that a source lists, sorted as it has them; none for a source that takes any text, and for what is no source.

    Raises:
        MissingError: it needs a module that is not there to say so.
    """
    hook = component.hook("items")
    if hook is None:
        return component.items()
    with component.blamed("list its items"):
        listed: Iterable[object] = hook()
        return tuple(map(str, listed))


def require_item(component: Component, item: str) -> None:
    """Refuses an item that a source does not have.

    Args:
        component: the source; one without the function `items` takes any text that its signature allows.
        item: the text after the colon.

    Raises:
        ParameterError: there is no such item; with the nearest.
        MissingError: the source needs a module that is not there to say so.
    """
    if component.hook("items") is None or data_of(f"{component.name}:{item}") is not None:
        return
    known = items_of(component)
    if item in known:
        return
    takes = component.hook("takes")
    if takes is not None:
        with component.blamed(f"look for {item!r}"):
            if takes(located(item)):
                return
    close = nearest(item, known, count=_CLOSE)
    listed = f"rbench list {component.kind}s '{component.name}:*'"
    remedy = (
        f"Close: {', '.join(f'{component.name}:{one}' for one in close)}.        {listed}"
        if close
        else f"{listed} has all."
    )
    found = one_line(repr(item), STORED)
    raise ParameterError("name", f"{component.name!r} has no {found}.", remedy=remedy)


def about_item(component: Component, item: str) -> dict[str, str]:
    """What a source says of one of its items, by words such as `origin` and `license`; empty where it says nothing.

    Raises:
        MissingError: it needs a module that is not there to say so.
    """
    hook = component.hook("about")
    if hook is None:
        return {}
    with component.blamed(f"say what {item!r} is"):
        said = hook(item)
        return {str(word): str(text) for word, text in dict(said).items()}
