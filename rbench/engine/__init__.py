"""The engine: one attack on one defended model, from the audit to the verdicts of the judge."""
