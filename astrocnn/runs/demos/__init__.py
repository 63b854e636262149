"""Run files of the demos, one a task; ``astrocnn demo`` copies one beside its simulated survey."""
