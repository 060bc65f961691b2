"""The command line: `dpodiff improve "a red ball on the sea"`.

`app`      commands, their options and exit codes
`many`     commands for many prompts
`options`  options that several commands share
`folders`  the output folder of a command
`study`    commands for studies with people

Heavy imports happen after the arguments are parsed, so `dpodiff --help` is fast.
"""
