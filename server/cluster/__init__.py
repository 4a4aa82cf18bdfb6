"""Several server processes as one: nodes on a NATS bus."""
