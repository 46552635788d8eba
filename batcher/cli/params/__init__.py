"""The options of the commands.

session          the options that every command shares
setting_options  the options for settings, made from the table of settings
durations        durations with a unit, such as 90s
job_options      the options of `run` and `submit` about the job file
"""
