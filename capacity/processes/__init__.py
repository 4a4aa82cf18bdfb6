"""The processes of a run: server, load generator, and the cores they run on."""
