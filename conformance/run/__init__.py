"""`python -m conformance run`: every implementation reads, writes and updates the same arrays."""
