"""What the report of a run and that of an evaluation share: style, parts, charts, units."""
