"""What stops sending until a person acts.

verdicts  decides whose fault failures are: the row's, or that of its whole route
pauses    stops an endpoint, a key, a lane, a route or a job
"""
