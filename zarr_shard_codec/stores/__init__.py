"""Where objects are kept: local files, memory, and whatever obstore opens.

A store knows keys and bytes, never shards. `protocols` says what it must do; `resolve` finds the one that
a path or a URL means.
"""
