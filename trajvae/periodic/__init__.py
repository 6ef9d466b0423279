"""Undo periodic boundaries: make molecules whole that a boundary cuts, and keep complexes of molecules together."""
