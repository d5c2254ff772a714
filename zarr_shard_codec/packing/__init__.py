"""Unsharded arrays into shards and back, without decoding a chunk."""
