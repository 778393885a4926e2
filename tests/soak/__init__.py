"""`make soak`: three replicas under writes, reads and random faults; what they answer is held against what was done."""
