"""The command line: speaks HTTP to a server, and starts the processes that make one."""
