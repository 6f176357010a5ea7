"""``streams dev``: Kafka, topics, a worker that follows the files of its agents, a live tail."""
