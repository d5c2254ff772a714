"""Bytes in, bytes out: the index, the layout, selections and plans. No I/O, threads or event loop."""
