"""The main job on real input: documents through agents, with a crash in the middle."""
