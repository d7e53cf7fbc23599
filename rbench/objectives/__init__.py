"""What purifiers are trained to do, by entry point (`rbench.objectives`).

An objective is a function of keyword parameters that returns another: `(network, images, generator) -> (loss, terms)`. It gets images
[B, C, H, W] in [0, 1] and nothing else, neither labels nor a backbone, so that what it trains cannot depend on either. The loss is a
scalar; the terms are scalars by name, for the training curve. All its randomness comes from the generator, on the device of the images.
"""
