"""The loops of a runner: claim, admit, execute one request, settle in groups, drain.

state      what is in hand: jobs, routes, lanes, endpoints
intake     claims by route and hands the claims to their lanes; closes finished jobs
gate       one task a lane: admits requests in order, one at a time
execute    one request: send, classify, decide
settler    writes settlements in groups
pauses     stops what waits for a person
worker     starts the loops and ends them
"""
