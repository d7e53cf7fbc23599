"""Results as one file: a run folder with the weights and the judged samples that its cells need, packed and read back."""
