"""File uploads: sessions, storage, retention."""
