"""The arithmetic of rate limits.

token_bucket  how fast and in what bursts a lane sends
concurrency   how many requests may be in flight while no limit is known
reply_room    bounds the memory of replies that are not on disk
queueing      recognizes a server that queues what it cannot work on
rate_search   estimates a rate limit that is not announced
refusal_share distinguishes the refusals of a limit from random ones
charging      what a request's tokens cost under a provider's charging rule
daily_quota   requests and tokens a day
"""
