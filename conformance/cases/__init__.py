"""The conformance suite's vectors: the modules that define them by subject, and the loader that reads them."""
