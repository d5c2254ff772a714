"""Runs plans: threads, batches, and how much is in flight."""
