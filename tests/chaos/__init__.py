"""Faults on purpose: real processes are killed, and what was promised is checked against what people saw."""
