"""Tables: CSV files that are read, and text that is printed."""
