"""The parts of `./run bench device`, each a process of its own."""
