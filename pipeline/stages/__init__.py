"""Steps as stages: what runs together in one worker, and the record of what it did."""
