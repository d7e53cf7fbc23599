"""The names of what is measured of every sample stand once, in one file."""

import ast
from pathlib import Path

import rbench
from rbench.results import sample_columns
from rbench.results.samples import SCHEMA

NAMES = {name for key, name in vars(sample_columns).items() if key.isupper() and isinstance(name, str)}
HOME = Path(rbench.__file__).parent
OWN = {name for name in NAMES if "_" in name}
"""Those that mean nothing else anywhere."""


def test_the_columns_of_the_file_are_those_that_have_a_name():
    shares_alone = set(sample_columns.SELECT_DRAWS_OF.values()) - {sample_columns.SELECT_PREDICTIONS}
    assert set(SCHEMA.names) == NAMES - {sample_columns.IMAGES} - shares_alone


def test_every_value_is_made_of_classes_that_are_stored_or_known_not_to_be():
    made_of = {**sample_columns.DRAWS_OF, **sample_columns.SELECT_DRAWS_OF}
    assert set(made_of.values()) & set(SCHEMA.names) == set(sample_columns.PREDICTIONS)
    assert all(draws == f"{value}_predictions" for value, draws in made_of.items())


def test_no_other_file_spells_a_name():
    spelled = {
        (str(path.relative_to(HOME)), node.value)
        for path in HOME.rglob("*.py")
        if path != Path(sample_columns.__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in OWN
    }
    assert spelled == set()
