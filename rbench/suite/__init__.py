"""The declarative layer: suites, plans and cell ids; no torch."""
