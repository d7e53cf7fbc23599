"""Records, samples, statistics and tables. Never imports torch, never runs what a record names."""
