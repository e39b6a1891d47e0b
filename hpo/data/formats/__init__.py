"""The formats of tables that are read, a file each: a path in, a table out."""
