"""Frozen classifiers, one file a source: pixels in [0, 1] in, logits out. Torch waits for a load."""
