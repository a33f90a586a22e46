"""`python -m affekt.cli`."""

from affekt.cli import main

main()
