"""Tables: CSV files that are read, and text that is printed."""

from keras_avssan._internal.tables.text_tables import Table, join_tables, make_table

__all__ = ["Table", "join_tables", "make_table"]
