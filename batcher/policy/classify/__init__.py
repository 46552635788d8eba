"""What a reply means: from status, headers and body to an outcome.

classify           the entry: a reply or a transport fault becomes a success or a failure of a kind
rules              the table of rules; the first rule that matches decides
predicates         the conditions of the rules, one question each
limit_predicates   those about limits and capacity
failures           the outcomes that the rules make, the pauses among them
error_body         every shape of an error body in one form
error_codes        the codes that providers send, grouped by what they call for
answers            what kind of answer a 200 holds, by path
finish_reasons     how a generation ended: one table over all providers
structured_output  whether an answer fits the JSON format that its request asked for
retry_after        when the server says to come back
durations          the spellings of durations
rate_headers       the limits that reply headers announce
refusal_cause      what a refusal says there was too much of: requests, tokens or concurrency
"""
