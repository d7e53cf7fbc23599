"""Networks that purifiers are trained from, by entry point (`rbench.networks`)."""
