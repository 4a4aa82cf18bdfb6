"""Side by side with peers: the same chat, the same load, one run."""
