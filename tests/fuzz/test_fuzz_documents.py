"""Documents of which some fields are dropped, renamed, retyped or extreme are read or refused in one line that names the file."""

import json
import re

import pytest
import yaml
from fuzz_damage import BOTH, refusal, some
from fuzz_formats import FORMATS, RECIPE, SUITE
from hypothesis import given
from mutations import mutated

WORDS = [
    "name",
    "as",
    "eps",
    "norm",
    "steps",
    "identity",
    "pgd",
    "8/255",
    "1/0",
    "no",
    "1e-3",
    "x:y",
    ":",
    "~",
    "{}",
    "id",
    "done",
]
PLACE = re.compile(r"tiny\.yaml:\d+:\d+: ")


@BOTH
@pytest.mark.parametrize(("name", "text"), [("suite", SUITE), ("recipe", RECIPE)])
def test_a_mutated_suite_or_recipe_is_taken_or_refused_at_its_line(name, text, cases, tmp_path):
    path = tmp_path / "tiny.yaml"

    @some(cases)
    @given(mutated(yaml.safe_load(text), WORDS))
    def check(document):
        path.write_bytes(yaml.safe_dump(document, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass"))
        error = refusal(lambda: FORMATS[name].read(path))
        assert error is None or PLACE.search(str(error)), error

    check()


@BOTH
@pytest.mark.parametrize("name", ["record", "record in a folder", "verification", "cells", "audit", "lock"])
def test_a_mutated_document_is_read_or_refused_by_its_file(name, cases, tmp_path):
    form = FORMATS[name]
    document = json.loads(form.files(tmp_path / "made")[0])
    path = tmp_path / "read" / form.name
    path.parent.mkdir(parents=True)

    @some(cases)
    @given(mutated(document, WORDS))
    def check(content):
        path.write_text(json.dumps(content), encoding="utf-8")
        error = refusal(lambda: form.read(path))
        assert error is None or path.parent.name in str(error), error

    check()


HUGE = [{"side": 1024}, {"widths": [4096] * 8}, {"latent": 65_536}, {"side": 1024, "widths": [4096], "latent": 65_536}]


@BOTH
def test_a_mutated_header_of_a_network_is_refused_before_memory_is_taken_for_it(cases, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load, save

    form, path = FORMATS["network"], tmp_path / "n.safetensors"
    path.write_bytes(form.files(tmp_path)[0])
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["purifier"])
    tensors = load(path.read_bytes())

    def refused(content):
        path.write_bytes(save(tensors, metadata={"purifier": json.dumps(content)}))
        error = refusal(lambda: form.read(path))
        assert error is None or path.name in str(error) or "network" in str(error), error
        return error

    for params in HUGE:
        assert refused(header | {"params": header["params"] | params})

    @some(cases)
    @given(mutated(header, [*WORDS, *header["params"]]))
    def check(content):
        refused(content)

    check()
