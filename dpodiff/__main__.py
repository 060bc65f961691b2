"""`python -m dpodiff` is the command `dpodiff`."""

from dpodiff.cli.app import app

app(prog_name="dpodiff")
