"""Examples of deployment: reverse proxies, Kubernetes, and a development stack."""
