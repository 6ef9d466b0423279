"""Output files that are whole or absent: names, locks, drafts, and their replacement."""
