"""Figures that commands report: one frozen dataclass a command, from which the JSON is made."""
