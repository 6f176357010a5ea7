"""``streams doctor``: is everything here as agents need it, and what to do where it is not."""
