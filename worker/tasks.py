"""The one task, as thin as it can be: a nudge came in, so look at the table."""

from __future__ import annotations

from worker.app import CLAIMS_PER_NUDGE, TASK, app, queues, replace_child
from worker.fitness import UnfitError


def work() -> None:
    """Run the jobs that wait, best first, until none is left or this nudge has done its share."""
    from worker import child

    try:
        child.work(queues(), at_most=CLAIMS_PER_NUDGE)
    except UnfitError as unfit:
        replace_child(str(unfit))


app.task(name=TASK)(work)
