"""The harness that measures: its arithmetic, its rivals' networks, its groups. Speed is not tested."""
