"""Agents as exactly-once Kafka consumers."""
