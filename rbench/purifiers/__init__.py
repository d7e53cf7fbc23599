"""Image-to-image transforms run before the backbone, pixels in [0, 1] to the same; one file each, or one for several alike."""
