"""How fast the task path is: ``python -m bench`` on the embedded Kafka of this machine."""
