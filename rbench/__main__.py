"""`python -m rbench`."""

from rbench.cli.main import main

main()
