"""Files for other runtimes, and running them."""
