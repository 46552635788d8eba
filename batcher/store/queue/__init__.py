"""The queue of requests, from the claim to the settlement.

adapter        the port `Queue`: each method is one of the operations below, run by the writer
claim          claims by route: due retries first, then returned rows, then fresh ones
settle         ends claims, a batch in one transaction
records        the permanent records of answers and attempts
tally          what one transaction settles, by job
single_flight  of requests with the same fingerprint one is sent; the others follow it and share its end
shared_ends    the followers that were too many for the transaction of their leader end in later ones
cache_hits     rows whose answer is already known are settled instead of claimed
runners        who has claimed requests; rescue of what a dead runner held; repair of clock skew
lanes          what was learned about a lane's limits and outlives a run
pauses         an endpoint, key, lane, route or job that waits for a person
resuming       ends every pause that a job waits for
route_history  what earlier runs have left of a route
"""
