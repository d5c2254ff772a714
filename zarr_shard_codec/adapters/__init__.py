"""Hosts: other packages that read and write shards through this one, their users' code unchanged."""
