"""Image-to-image transforms run before the backbone, one file each: pixels in [0, 1] to the same."""
