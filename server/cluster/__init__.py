"""Several server processes as one chat: nodes on a NATS bus."""
