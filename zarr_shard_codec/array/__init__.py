"""Arrays in stores: metadata documents, opening and creating, reading and writing by selection."""
