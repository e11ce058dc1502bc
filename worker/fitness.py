"""When a process is fit for no further job."""

from __future__ import annotations


class UnfitError(Exception):
    """This process claims nothing more and leaves, and the pool brings another; the reason is for people.

    Raised to whoever claims, once the jobs at hand have been brought to their ends: they are lost as with a
    worker that died, for one of them may have made it so.
    """
