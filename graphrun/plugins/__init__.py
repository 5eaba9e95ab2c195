"""Plugins: finding what is declared, and beginning a new one."""
