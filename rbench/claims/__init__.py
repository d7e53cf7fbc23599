"""Figures that others have published, with their sources, to stand beside ours. Facts alone: nothing here is measured or judged."""
