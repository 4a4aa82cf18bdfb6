"""Whether the load generator and its machine keep up."""
