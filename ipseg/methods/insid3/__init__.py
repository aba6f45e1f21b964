"""INSID3 (visinf/INSID3): one example, DINOv3 alone, no training and no segmenter."""
