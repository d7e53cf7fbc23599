"""The engine: defended model, oracle, driver, judge and runner."""
