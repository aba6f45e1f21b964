"""Data sets that methods are compared on, their episodes, and the numbers published for them.

`datasets` has a module for each benchmark, `annotations` reads and converts the files they come
with, `published` has the numbers from papers. What they share is here.
"""
