"""The decisions: pure functions. Time, jitter and settings come in as arguments.

input           a line of a job file becomes a request, or a refusal with a reason
tokens          how many tokens a request will cost
classify        what a reply means: from status, headers and body to an outcome
retry           what is done about an outcome, how long a retry waits, when an outage stops an endpoint
rate            token bucket, concurrency, the search for an unannounced rate, daily quotas
output          result, error and job lines; what a person can do about a dead letter
privacy         keys, control characters and prompt text kept out of logs, screens and bundles
api_paths       the endpoints' paths, as `/v1/chat/completions`
rate_meter      how fast something grows, and how long the rest takes, for people
stated_maximum  the maximum output that a request's body states
usage           the tokens, the tier and the cost that a reply states
lenient_json    JSON as its usual readers read it
wording         what providers say in words: identifiers, lengths of prompts, accounts
urls            base URLs: one spelling for each, and where a key may travel
"""
