"""What is remembered of a fleet, for a terminal and for files."""
