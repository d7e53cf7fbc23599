"""The parameters of a component: read from its source or the imported object, checked, and described in messages."""

from rbench.signature.parameters import REQUIRED, Parameter, ParameterError, Signature, fraction, to_json
from rbench.signature.static import signature as read_signature
from rbench.signature.words import Mistake, describe, kind_of, nearest, show

__all__ = [
    "REQUIRED",
    "Mistake",
    "Parameter",
    "ParameterError",
    "Signature",
    "describe",
    "fraction",
    "kind_of",
    "nearest",
    "read_signature",
    "show",
    "to_json",
]
