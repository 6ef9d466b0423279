"""Checkpoints: what they hold, when they are written, and what a resumed training takes from one."""
