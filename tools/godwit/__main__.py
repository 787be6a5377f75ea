"""`python -m godwit`: the same as build/bin/godwit."""

from godwit.cli import main

main()
