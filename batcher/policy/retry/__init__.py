"""What is done about an outcome.

decide           the settlement of an outcome: complete, requeue, dead-letter or release
backoff          how long a retry waits
refusals         when a row is refused because of itself rather than of a rate
failure_run      whose fault a failure is: the row's, or its route's
busy             which 503 is a refusal
circuit_breaker  when an outage stops an endpoint, and when one request probes it
"""
