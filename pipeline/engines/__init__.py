"""Steps as stages, in this process or on Ray, and the books kept meanwhile."""
