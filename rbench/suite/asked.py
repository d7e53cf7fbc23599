"""What `rbench.evaluate` is asked, checked by the types of a suite: one validation, so that the same mistake gets the same words."""

from typing import Any

from pydantic import Field, ValidationError

from rbench.errors import InputError
from rbench.registry import registry
from rbench.signature import Mistake
from rbench.suite.binding import refused_of
from rbench.suite.cell import Decide, GradientChoice, Norm
from rbench.suite.mistakes import argument_mistake
from rbench.suite.model import FileModel
from rbench.suite.spec import BatchSize, Draws, Eot, Seed, require_bpda, require_within
from rbench.suite.threat_spec import Radius


class Asked(FileModel):
    """The arguments of `rbench.evaluate` that a suite has as well; a default is never used, it is what messages call usual."""

    norm: Norm
    eps: Radius
    gradient: GradientChoice = Field("auto")
    stand_in: Any = None
    eot: Eot = Field(1)
    draws: Draws = Field(16)
    select_draws: Draws = Field(64)
    decide: Decide = Field("mean")
    seed: Seed = Field(0)
    batch_size: BatchSize = Field(64)


def asked(attack: str | None, values: int, /, **given: Any) -> Asked:
    """The arguments, checked.

    Args:
        attack: registry name of the attack; None for an attack object, which is asked itself later on.
        values: numbers in an image.
        **given: every field of `Asked`.

    Raises:
        InputError: one line with the argument, what was found and what to write.
    """
    try:
        terms = Asked(**given)
    except ValidationError as error:
        raise argument_mistake(error, Asked) from None
    place = "eps"
    try:
        require_within(terms.norm, terms.eps, values)
        if attack is None:
            place = "stand_in"
            require_bpda(terms.gradient, terms.stand_in)
        elif refusal := refused_of(registry("attack").get(attack), terms.norm, terms):
            place = "norm" if refusal[0] == "name" else refusal[0]
            raise refusal[1]
    except Mistake as mistake:
        raise InputError(mistake.problem, place=place, found=mistake.found, remedy=mistake.remedy) from None
    return terms
