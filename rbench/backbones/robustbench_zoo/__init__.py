"""The model zoo of the installed `robustbench`: its names from its source text, its import, its networks, its weights."""
