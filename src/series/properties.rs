//! Claims about the whole of `series/`, over generated input.
