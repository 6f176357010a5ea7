"""Decisions without I/O: no clock, randomness, threads or client in here."""
