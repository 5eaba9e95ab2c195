"""``python -m graphrun`` is the command line."""

from graphrun.cli.entry import main

main()
