"""File uploads: the session of each client, storage on the disk, removal of expired files."""
