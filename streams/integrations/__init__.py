"""Other people's frameworks inside of agents, one module each."""
