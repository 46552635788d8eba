"""One request: admitted, sent, classified, decided.

attempt       the value that goes through all of it
task_pool     the reusable tasks that carry requests out
execute       send, classify, update the breaker, report to the budget, decide, settle
outage_signs  what a failed attempt shows about its endpoint
records       the permanent record of an attempt, and the event that reports it
"""
