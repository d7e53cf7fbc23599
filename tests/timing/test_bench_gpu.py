"""`make gpu`: says so where there is no GPU, keeps to its time, and marks what is above its bar."""

import sys
import time
from types import SimpleNamespace

import pytest
import torch

from bench import gpu
from bench.deadline import Deadline, OutOfTimeError
from bench.device_time import per_step, waits
from bench.gpu_page import page


def test_without_a_gpu_it_says_so_in_one_line_writes_nothing_and_ends_with_three(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().out == "no CUDA GPU is visible to torch here: nothing was measured\n"
    assert not (tmp_path / "out").exists()


def test_waits_a_step_are_those_that_grow_with_the_steps():
    events = [SimpleNamespace(key=key, count=count) for key, count in (("cudaStreamSynchronize", 7), ("aten::add", 90))]
    assert waits(events) == 7
    assert per_step(20, 28, (32, 96)) == 8 / 64


def test_a_deadline_is_shared_and_ends_what_is_at_work():
    now = [0.0]
    deadline = Deadline(10, lambda: now[0])
    assert deadline.left(3) == 3
    now[0] = 8
    assert deadline.left(3) == 2
    now[0] = 11
    assert deadline.left() == 0
    with pytest.raises(OutOfTimeError), deadline.enforced():
        pytest.fail("it began")
    with pytest.raises(OutOfTimeError), Deadline(0.05).enforced():
        time.sleep(30)


def test_a_command_that_takes_too_long_is_ended_and_told():
    found = gpu.timed("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], 0.2)
    assert found["ended"] == "no time left"
    assert gpu.timed("quick", [sys.executable, "-c", "print('done')"], 60)["last"] == "done"


def figures(**changed):
    step = {"attack": "pgd", "images": 8, "steps": 96, "waits a query": 0.125, "bar": 0.125, "kernels at work": 0.4}
    side = {"robust": 0.5, "seconds": 2.0, "ratio": 0.5}
    row = {
        "model": "b",
        "share": "0",
        "attack": "pgd",
        "images": 8,
        "rbench": side,
        "references": {"torchattacks": side},
    }
    parts = {
        "tests": {"ended": "0", "last": "5 passed", "seconds": 3.0},
        "steps": [step | changed],
        "suites": [
            {"name": "quickstart", "done": 3, "cells": 9, "seconds": 120.0, "ended": "no time left", "limit": 120},
            {"name": "cifar10-linf", "missing": "no data"},
        ],
        "comparisons": [row, {"model": "d", "share": "0", "attack": "autoattack", "missing": "no time left"}],
    }
    return {name: {"about": {"card": f"card of {name}"}, "found": part} for name, part in parts.items()}


def test_the_page_names_the_card_and_marks_what_is_above_its_bar_or_was_not_finished():
    text = page(figures(**{"waits a query": 1.125}))
    for part in ("tests", "steps", "suites", "comparisons"):
        assert f"card card of {part}." in text
    assert "**1.125** (bar 0.125, missed)" in text
    assert "**0.50** (bar 0.98, missed)" in text
    assert "3 of 9 cells in 120 s (**not all: no time left**, limit 120 s)" in text
    assert "`cifar10-linf` was not run: no data" in text
    assert "| d | 0 | autoattack | | | no time left | | |" in text
    assert "**0.125**" not in page(figures())


def test_the_page_holds_the_parts_that_there_are():
    text = page({"suites": figures()["suites"]})
    assert "quickstart" in text
    assert "Against others" not in text
