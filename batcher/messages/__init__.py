"""The catalogue of messages: the words for each cause, in the one place where texts name options and commands.

Both surfaces word messages from it. `{--base-url}` in a template is an option, `{job}` a parameter: the command
line shows the flag, the Python API the argument of the same meaning.

render        fills a template with parameters and with a surface's names of options
pauses        how to end a pause
dead_letters  what to do about a dead letter
diagnostics   what `doctor` advises
job_files     what to do about a file in another form, and about invalid lines
stores        what to do about a store that cannot be used
usage         what to do about wrong use of a command, a setting or an argument
fields        the fields of a template: parameters, and options by their flags
templates     what a template is
"""
