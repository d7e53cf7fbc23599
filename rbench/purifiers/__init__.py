"""Image-to-image transforms run before the backbone: pixels in [0, 1] to the same; a file each, or one for those that differ in a word."""
