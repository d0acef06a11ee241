"""The console: pages for a person, below /_mock. They show what the JSON operations give, and change nothing else."""
