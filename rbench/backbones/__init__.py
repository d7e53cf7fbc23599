"""Frozen classifiers, one module for each source: pixels in [0, 1] in, logits out. Torch is imported when one is loaded."""
