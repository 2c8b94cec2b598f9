"""Jobs: `python -m galspec` commands that run detached, here or on Slurm, and outlive page, server and browser."""
