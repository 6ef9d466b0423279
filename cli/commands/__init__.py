"""The commands, one module for each; the module has the name of its command."""
