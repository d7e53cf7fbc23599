"""Damaged files of every format are read or refused in one line, within a second and half a gigabyte; nothing else comes of them."""

import pytest
from fuzz_damage import BOTH, damaged, refusal, some
from fuzz_formats import FORMATS, NEVER_REFUSED
from hypothesis import given


@BOTH
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused_in_one_line(name, cases, tmp_path):
    form = FORMATS[name]
    good, path = form.files(tmp_path / "made"), tmp_path / "read" / form.name
    path.parent.mkdir(parents=True)
    for one in good:  # they are read, and what reading imports is there
        path.write_bytes(one)
        form.read(path)

    @some(cases)
    @given(damaged(good))
    def check(data):
        path.write_bytes(data)
        error = refusal(lambda: form.read(path))
        assert error is None or name not in NEVER_REFUSED

    check()
