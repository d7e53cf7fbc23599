"""The parts of the documentation that the code says itself: `python -m tools.reference` writes them into the pages."""
