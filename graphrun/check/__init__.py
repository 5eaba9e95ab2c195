"""Checking derivatives: by differences, and by proof."""
