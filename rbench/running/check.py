"""What can be said of the cells of a defended model before the first cell runs: everything is made, and shown two images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from rbench.datasets.types import Dataset
from rbench.engine.defended import DefendedModel, state_hash, writes_to_input
from rbench.engine.inventory import take_inventory
from rbench.engine.raised import layer_of
from rbench.engine.setup import refuse_mismatch
from rbench.errors import CellFailed, InputError, RbenchError
from rbench.process_state import kept, said, users_own
from rbench.purifiers.identity import Identity
from rbench.running.components import Components, Loaded, read_batch
from rbench.running.memory import out_of_memory
from rbench.running.prepare import protocol_of
from rbench.running.tasks import Checked, Weighed
from rbench.running.throughput import USUAL
from rbench.running.trained_on import data_told
from rbench.signature import Mistake
from rbench.suite.cell import Cell
from rbench.suite.spec import require_within
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise

SHOWN = 2
"""Images, the first of the cells."""


def weigh(cell: Cell, components: Components) -> Weighed:
    """The hash of the parameters and buffers of the defended model of a cell.

    Raises:
        InputError: a component is wrong.
    """
    try:
        return Weighed(state_hash(components.defended(cell.backbone, cell.purifier, cell.dataset)))
    except CellFailed:  # judged before it was refused; the cells that run say why
        return Weighed(None)
    finally:
        components.forget_models()


def check(cells: Sequence[Cell], components: Components) -> Checked:
    """Makes all that the cells of one defended model name, and shows the model two images at the size of the suite.

    What is wrong with the backbone, or with the attacks, is wrong with the suite. Where the purifier fails, its cells will, and no other.
    The models are dropped afterwards: whatever they keep of it reaches no cell.

    Raises:
        InputError: the data are wrong.
        MissingError: something needs a module, file or device that is not there.
    """
    problems, doubts = dict[str, InputError](), dict[str, None]()
    counts = [_samples(cell, components) for cell in cells]
    shown = list[DefendedModel]()
    try:
        for cell in cells:
            try:
                loaded = components.of(cell)
                _held(cell, loaded)
                for model in filter(None, (loaded.model, loaded.source)):
                    if not any(model is other for other in shown):
                        shown.append(model)
                        _show(model, _Shown.of(cell, loaded, components), problems, doubts)
            except CellFailed as error:  # it fails again when its turn comes, and then has a record
                doubts[str(error)] = None
            except InputError as error:
                problems[str(error)] = error
    finally:
        components.forget_models()
    told = dict.fromkeys(
        f"dataset '{cell.dataset.label}': {line}." for cell in cells for line in data_told(cell, components)
    )
    return Checked(sum(counts), tuple(problems.values()), next(iter(doubts), None), tuple(told))


def _samples(cell: Cell, components: Components) -> int:
    """How many samples a cell has, once its radius is held against the size of the first."""
    ids = components.chosen(cell.dataset, cell.slice)
    try:
        require_within(cell.threat.norm, cell.threat.eps, components.values(cell.dataset, ids[:1]))
    except Mistake as mistake:
        problem, found, remedy = mistake.problem, mistake.found, mistake.remedy
        raise InputError(problem, place="threat.eps", found=found, remedy=remedy) from None
    return len(ids)


def _held(cell: Cell, loaded: Loaded) -> None:
    try:
        refuse_mismatch(loaded.attack, protocol_of(cell, USUAL), loaded.model)
    except InputError as error:
        component = f"attack '{cell.attack.label}'"
        raise error.at(component, component=component) from None


class _Shown(NamedTuple):
    """The images, and whose they are."""

    few: Batch
    dataset: Dataset
    noise: Noise

    @classmethod
    def of(cls, cell: Cell, loaded: Loaded, components: Components) -> "_Shown":
        ids = components.chosen(cell.dataset, cell.slice)[:SHOWN]
        with kept(f"dataset '{cell.dataset.label}'"):
            return cls(read_batch(loaded.dataset, ids, components.device), loaded.dataset, Noise(cell.seed))


def _show(model: DefendedModel, shown: _Shown, problems: dict[str, InputError], doubts: dict[str, None]) -> None:
    """Asks the backbone alone, then behind the purifier."""
    few = shown.few
    try:
        with _watched(model, model.classifier), _blamed(model, few):
            alone = _finite(model.classify, few, model.classifier)
        _require_classes(shown.dataset, alone.shape[1], model)
    except InputError as error:
        problems[str(error)] = error
        return
    except CellFailed as error:
        doubts[str(error)] = None
        return
    if type(model.purifier) is Identity:
        return

    def behind(x: Tensor) -> Tensor:
        logits: Tensor = model(x, shown.noise.of("audit", few.ids, few.device))
        return logits

    owner = f"purifier '{model.name}'"  # the backbone alone has just answered
    try:
        with _watched(model, owner):
            _finite(behind, few, owner)
    except CellFailed as error:
        doubts[str(error)] = None


def _require_classes(dataset: Dataset, logits: int, model: DefendedModel) -> None:
    try:
        dataset.require_classes(logits)
    except InputError as error:
        raise error.at(model.classifier, component=model.classifier) from None


@contextmanager
def _watched(model: DefendedModel, owner: str) -> Iterator[None]:
    """A block that shows the model images; whatever the code of its owner raises is a failure of its cells.

    Raises:
        CellFailed: it raised something, or changed what it must leave as it is.
        InputError: as it comes from within.
    """
    inventory = take_inventory(model.purifier, model.backbone, owner)
    try:
        with inventory.unchanged("when it was shown two images"), kept(model.owner), torch.no_grad():
            yield
    except RbenchError:
        raise
    except BaseException as error:  # `SystemExit` as well
        if users_own(error):
            raise
        layer = layer_of(error, model)
        raise CellFailed(f"{owner} raises {said(error)}{f' {layer}' if layer else ''}") from None


@contextmanager
def _blamed(model: DefendedModel, few: Batch) -> Iterator[None]:
    """A block that asks the backbone alone: it raises, or answers otherwise than a classifier, for every purifier and attack.

    Raises:
        InputError: it does, and not by ending the process or for want of memory.
    """
    owner, shape = model.classifier, tuple(few.x.shape[1:])
    try:
        yield
    except CellFailed as error:
        raise InputError(error.problem, component=owner, remedy=error.remedy) from None
    except Exception as error:
        if isinstance(error, RbenchError) or out_of_memory(error):
            raise
        layer = layer_of(error, model)
        raise InputError(
            f"{owner} fails on images of the suite: {said(error)}{f' {layer}' if layer else ''}.",
            component=owner,
            found=f"shape {shape}, float32",
            remedy="Take a data set of images that it takes, or another backbone",
        ) from None


def _finite(ask: Callable[[Tensor], Tensor], few: Batch, owner: str) -> Tensor:
    """The logits of the images, which must stay as they are."""
    given = few.x.clone()
    logits = ask(given)
    if not torch.equal(given, few.x):
        raise writes_to_input(owner)
    broken = ~torch.isfinite(logits).all(1)
    if broken.any():
        samples = few.ids[broken].tolist()
        problem = f"{owner}: sample {samples[0]}: logits are NaN or infinite on the clean image"
        raise CellFailed(problem, samples, component=owner)
    return logits
