"""The one task, as thin as it can be: a nudge came in, so look at the table."""

from __future__ import annotations

from worker.app import JOBS_PER_CHILD, TASK, app, queues


def work() -> None:
    """Run the jobs that wait, best first, until none is left or this child has done its share."""
    from worker import child

    child.work(queues(), at_most=JOBS_PER_CHILD)


app.task(name=TASK)(work)
