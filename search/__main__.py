"""`python -m search` is `attnas`."""

from search.cli import main

main()
