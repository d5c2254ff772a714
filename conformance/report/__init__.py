"""The report: results of `python -m conformance run` as one HTML page and as a Markdown table."""
