"""What property tests draw: shared, so that all of them draw the odd cases."""

from hypothesis import strategies as st


def integer_or_slice(size):
    """A selection along an axis: of an element that is there, or with bounds that need not be."""
    integer = st.integers(-size, size - 1)
    bounds = st.none() | st.integers(-size - 2, size + 2)
    return st.one_of(integer, st.builds(slice, bounds, bounds, st.none() | st.integers(1, size + 2)))
