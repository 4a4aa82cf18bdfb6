"""Benchmarks: the server beside other servers, the load generator beside others, and the cost of single parts."""
