"""`python -m conformance fuzz`: arrays that nobody thought of, read by this package and by tensorstore."""
