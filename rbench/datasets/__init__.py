"""Labelled images with pixels in [0, 1], one module for each source. Only that of torchvision imports torch."""
