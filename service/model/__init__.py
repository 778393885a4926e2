"""What a process is and how processes are found, ordered and paged. Pure: nothing here awaits or does I/O."""
