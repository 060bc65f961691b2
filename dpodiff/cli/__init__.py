"""The command line: `dpodiff improve "a red ball on the sea"`.

`app`      commands, their options and exit codes
`many`     those for many prompts
`options`  what they share
`folders`  the folder that a command writes
`study`    the commands for studies with people

Nothing heavy is imported before the arguments are read, so `dpodiff --help` answers at once.
"""
