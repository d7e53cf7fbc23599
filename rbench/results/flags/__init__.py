"""Flags: what each means, and which of them cells and rows raise."""
