"""What a user writes of a threat: a ball that an attacker moves an image in, common corruptions, or both."""

from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from rbench.signature import Mistake, fraction, kind_of
from rbench.suite.cell import Eps, Norm
from rbench.suite.corruption_names import Corruptions, Severities
from rbench.suite.model import Model

LEAST_EPS = Fraction(1, 2**24)
"""Below it a pixel near 1 moved by the radius is the same float32."""


def _fraction(value: Any) -> Fraction:
    if isinstance(value, str) and (exact := fraction(value)) is not None:
        return exact
    if isinstance(value, Fraction):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return Fraction(repr(value))
        except ValueError:
            raise Mistake("expected a finite number.", found=str(value), remedy="Write 8/255.") from None
    raise Mistake("expected a number or a fraction.", found=kind_of(value), remedy="Write 8/255.")


def _eps(value: Any, info: ValidationInfo) -> Eps:
    exact = value.exact if isinstance(value, Eps) else _fraction(value)
    text = value.text if isinstance(value, Eps) else str(value)
    if exact <= 0:
        raise Mistake(f"{text} is no radius; an attack needs one above 0.", found=text, remedy="Write 8/255.")
    if info.data.get("norm") == "Linf" and exact > 1:
        advice = f"{text}/255" if exact.denominator == 1 and exact <= 255 else "8/255"
        problem = f"{text} is outside (0, 1]; pixels are in [0, 1]."
        raise Mistake(problem, found=text, remedy=f"Write {advice}.")
    if exact < LEAST_EPS:
        problem = (
            f"{text} is below {float(LEAST_EPS):.1g}, less than the rounding of a float32 pixel; nothing would move."
        )
        raise Mistake(problem, found=text, remedy="Write 8/255.")
    return Eps(text, exact)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Radius = Annotated[Eps, BeforeValidator(_eps)]

_NORM = "How the size of a perturbation is measured."
_EPS = "Radius on the [0, 1] pixel scale, e.g. 8/255; a list is a sweep."


_NULL = object()
"""What stands for a `null` that a user has written, where None is what nobody has written."""


def _of_ball(field: str, description: str) -> WrapValidator:
    """A field that every threat has but one of corruptions alone, which has no ball."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if value is None or value is _NULL:
            corrupts = any(info.data.get(key, ()) is not None for key in ("corruption", "corruptions"))
            if corrupts and info.data.get("norm") is None:
                return None if field == "norm" else []
            if value is None:
                raise Mistake("missing.", remedy=description)
            value = None
        if field == "eps" and "norm" in info.data and info.data["norm"] is None:
            raise Mistake("a radius needs a norm.", found=kind_of(value), remedy="Write norm: Linf, or leave eps out.")
        return handler(value)

    return WrapValidator(check)


class ThreatSpec(Model):
    """What may happen to an image: an attacker moves it within a ball, or it is corrupted, or both one after the other.

    `norm` and `eps` make the ball; `corruptions` are images of their own, which are judged beside it.
    """

    corruption: Corruptions | None = Field(
        None, description="A common corruption by name, e.g. `gaussian-blur`; the same as `corruptions`."
    )
    corruptions: Corruptions | None = Field(
        None,
        description="`all` for the 15 of Hendrycks and Dietterich 2019, or names; their mean accuracy stands beside robust accuracy.",
    )
    severity: Severities = Field([1, 2, 3, 4, 5], description="Of corruptions, from 1 to 5; one or a list.")
    path: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None,
        description="Folder of corrupted images in the layout of CIFAR-10-C or ImageNet-C; they are made anew if null.",
    )
    norm: Annotated[Norm, _of_ball("norm", _NORM)] = Field(
        None,
        validate_default=True,
        description=_NORM,
    )
    eps: Annotated[
        list[Radius],
        BeforeValidator(_listed),
        Field(min_length=1, max_length=100),
        _of_ball("eps", _EPS),
    ] = Field(
        None,
        validate_default=True,
        description=_EPS,
    )

    @model_validator(mode="before")
    @classmethod
    def _written(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {key: _NULL if value is None and key in ("norm", "eps") else value for key, value in given.items()}

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if self.corruption is not None and self.corruptions is not None:
            raise Mistake("corruption and corruptions are the same key.", remedy="Write one of them.")
        given = self.model_fields_set & {"severity", "path"}
        if given and not self.names:
            found = " and ".join(sorted(given))
            raise Mistake(f"{found} without corruptions.", found=found, remedy="Write corruptions: all.")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The corruptions in their order; none for a threat that is a ball alone."""
        return tuple(self.corruption or self.corruptions or ())
