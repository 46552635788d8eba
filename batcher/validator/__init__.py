"""Validates structured output in a child process.

Schemas and answers are written by others, so validating one may never end, or recurse too deep. A process can be
killed.

process  `ValidatorProcess`: starts the child, sends it answers, and replaces it when it dies
child    the child: validates one answer after the other, each within a limit of CPU time
"""
