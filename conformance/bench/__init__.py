"""How fast this package is beside the others, and beside what the machine could do."""
