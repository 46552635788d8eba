"""The loops of a runner: claim, admit, execute one request, settle in groups, drain.

state      what is in hand: jobs, routes, lanes, endpoints
jobs       takes jobs up and lets them go
intake     claims by route and hands the claims to their lanes; closes finished jobs
gate       one task a lane: admits requests in order, one at a time
crew       the tasks that carry requests out
execute    one request: send, classify, decide
settler    writes settlements in groups, and claims with each group
pauses     stops what waits for a person
beat       once a second: says what is going on, learns what people want
worker     starts the loops and ends them
"""
