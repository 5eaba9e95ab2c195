"""``python -m graphrun`` is the command line."""

from graphrun.cli import main

main()
