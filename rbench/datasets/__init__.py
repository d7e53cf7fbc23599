"""Labelled images, one file a source: pixels in [0, 1]. Torch only inside torchvision's own."""
