"""What must not reach a file, a log or a screen.

redact           keys, taken out of what a provider sent
sanitize         control characters and escape sequences, for terminals and logs
request_shape    a request without its words: structure, types and lengths
prompt_scrubber  quotations of a prompt, taken out of a provider's message
"""
