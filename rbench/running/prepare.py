"""A cell ready to be run in any number of spans: its components loaded and audited, its samples chosen."""

from dataclasses import dataclass, replace

import numpy as np

from rbench.engine.audited_images import SAMPLES
from rbench.engine.setup import Protocol, Setup, set_up, shown_together
from rbench.running.components import Components, Loaded, read_batch
from rbench.suite.asked import Asked
from rbench.suite.cell import Cell
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch


@dataclass(frozen=True)
class Prepared:
    """A cell ready to run.

    Attributes:
        loaded: its components.
        setup: the audited model and attack.
        ids: int64 [N] the samples of the cell, ascending.
        convergence: how many of the first samples are attacked again with other budgets.
    """

    loaded: Loaded
    setup: Setup
    ids: np.ndarray
    convergence: int = 0

    def read(self, ids: np.ndarray) -> Batch:
        """Some of its samples, on the device."""
        return read_batch(self.loaded.dataset, ids, self.loaded.device)


def prepare(cell: Cell, components: Components, batch_size: int, few: int = SAMPLES) -> Prepared:
    """Loads and audits what a cell names, once for all its spans.

    Args:
        cell: the cell.
        components: loads each component once.
        batch_size: samples at once for our own attacks; changes only the speed.
        few: samples that the audit shows in small batches; fewer where memory is short.

    Raises:
        InputError: a component is wrong, or the attack cannot do what the cell asks.
        MissingError: a component needs a module or file that is not there.
        CellFailed: the defended model cannot be judged.
    """
    loaded = components.of(cell)
    ids = components.chosen(cell.dataset, cell.slice)
    return ready(loaded, protocol_of(cell, batch_size), ids, cell.convergence, few)


def ready(loaded: Loaded, protocol: Protocol, ids: np.ndarray, convergence: int = 0, few: int = SAMPLES) -> Prepared:
    """The same for components that are loaded already.

    Args:
        loaded: the components.
        protocol: how to attack and to judge.
        ids: int64 [N] the samples, ascending.
        convergence: how many of the first samples are attacked again with other budgets.
        few: samples that the audit shows in small batches.

    Raises:
        InputError: the attack cannot do what the protocol asks, or a label is no class of the model.
        CellFailed: the defended model cannot be judged.
    """
    audited = max(few, shown_together(loaded.attack, protocol.batch_size))
    first, shared = read_batch(loaded.dataset, ids[:audited], loaded.device), (loaded.audits, loaded.unattacked)
    setup = set_up(loaded.model, loaded.attack, protocol, first, loaded.source, loaded.stand_in, *shared)
    loaded.dataset.require_classes(setup.audit.classes)
    return Prepared(loaded, setup, ids, convergence)


def protocol_of(cell: Cell, batch_size: int) -> Protocol:
    """The cell's protocol in the engine's terms."""
    asked = protocol_under(Ball(cell.threat.norm, cell.threat.eps.value), cell, batch_size)
    return replace(asked, precision=cell.precision)


def protocol_under(ball: Ball, terms: Cell | Asked, batch_size: int) -> Protocol:
    """The protocol that a cell, or a call of `rbench.evaluate`, asks for.

    Args:
        ball: with one radius.
        terms: all but ball and batch size.
        batch_size: samples at once.
    """
    return Protocol(
        ball=ball,
        gradient=terms.gradient,
        eot=terms.eot,
        draws=terms.draws,
        select_draws=terms.select_draws,
        decide=terms.decide,
        seed=terms.seed,
        batch_size=batch_size,
    )
