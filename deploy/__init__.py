"""Deployment examples: reverse proxies, Kubernetes, and the development stack."""
