"""The commands, a module for those that belong together; each imports what it needs when it runs."""
