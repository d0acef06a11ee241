"""Where the model lives."""
