"""The instances of processes: what each is doing, what it uses, and how to end one."""
