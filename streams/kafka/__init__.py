"""The log on Apache Kafka: the only importer of the Kafka client."""
