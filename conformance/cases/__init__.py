"""The vectors of the conformance suite: modules that define them by subject, and the loader."""
