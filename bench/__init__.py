"""Measurements of rbench's speed, each figure beside its bar: `python -m bench`, and `python -m bench.gpu` on a machine with a GPU."""
