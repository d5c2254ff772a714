"""Codecs: one small file each, the registry that finds them, the chain that joins them."""
