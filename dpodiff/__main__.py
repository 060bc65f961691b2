"""Run the command `dpodiff` with `python -m dpodiff`."""

from dpodiff.cli.app import app

app(prog_name="dpodiff")
