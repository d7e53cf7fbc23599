"""From a plan to a run folder: components made once, cells prepared, run in spans and concluded."""
