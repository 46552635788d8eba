"""Jobs that run.

run                 runs jobs to their end, or hands them over to a live runner
requirements        what this process needs to send a job's requests: a key, headers, a proxy
senders             makes the sender of each job
succession          takes over from a runner that holds other credentials
store_waits         waits for the store's lock without missing a signal
descriptors         limits of open files
interpreter_tuning  Python's switch interval and garbage collector, set for throughput
"""
