"""The embedded Kafka: real brokers as local processes, without Docker or a system Java."""
