"""When users act, in which rooms, with what sizes."""
