"""`python -m worker`: a Celery worker with the queues and the concurrency of the settings."""

from __future__ import annotations

import sys

from worker.app import app


def main() -> None:
    """Run until SIGTERM or Ctrl-C; further arguments are Celery's (`--concurrency`, `--queues`, …)."""
    app.worker_main(["--quiet", "worker", "--loglevel=INFO", *sys.argv[1:]])


if __name__ == "__main__":
    main()
