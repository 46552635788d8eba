"""What a person does by resuming a job: every pause that it waits for ends."""

from sqlalchemy import Connection

from batcher.domain.jobs import Job
from batcher.store.jobs import jobs
from batcher.store.queue import lanes, pauses


def end_pauses(connection: Connection, job: Job, *, now: int) -> int:
    """End every pause that the job waits for; returns how many ended."""
    routes = jobs.routes_of(connection, job)
    models = {route.model for route in routes}
    stored = lanes.of_endpoint(connection, job.endpoint_id, job.key_name)
    return pauses.end_for(
        connection,
        endpoint_id=job.endpoint_id,
        key_name=job.key_name,
        lane_ids=[lane.id for lane in stored if lane.key.model in models],
        route_ids=[route.id for route in routes],
        job_id=job.id,
        now=now,
    )
