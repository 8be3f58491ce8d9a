"""Reading recordings, pictures and videos."""
