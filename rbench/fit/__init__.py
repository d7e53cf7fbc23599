"""Training of purifiers, heads and reference backbones from declarative recipes."""
