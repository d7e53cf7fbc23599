"""Labelled images with pixels in [0, 1], one module for each source. Only those of torchvision and ImageNet import torch."""
