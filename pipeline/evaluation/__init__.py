"""Episodes of benchmarks through the pipeline."""
