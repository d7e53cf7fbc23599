"""Attacks: one file each; none knows of purifiers."""
