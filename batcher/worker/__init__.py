"""The loops of a runner: claim, admit, execute one request, settle in groups, drain.

worker       starts the loops and ends them
run_state    what is in hand: jobs, routes, lanes, endpoints
job_phase    what a job at work is doing, and what changes that
active_jobs  starts and stops jobs
claimer      claims by route and hands the claims to their lanes; closes finished jobs
attempts     one request: admitted, sent, classified, decided
dispatcher   one task per lane: admits requests in order, one at a time
commit_broker  writes settlements in groups, and claims with each group
follower_sharing  ends the followers that were too many for the commit of their leader
pausing      what stops sending until a person acts
oversized    requests that can never fit a limit of their lane
heartbeat    once a second: reports progress, reads which jobs are requested
snapshot     what a runner writes down for `status` in another process
aio          waiting for events and tasks
"""
