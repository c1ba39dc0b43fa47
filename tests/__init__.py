"""A package, so that a `tests` that a dependency installs (Ciw does) never stands before it."""
