"""Many devices on one machine: scenarios, data, people, runtimes, reports."""
