"""Checks on exchanges: functions from an exchange to verdicts. They send nothing and record nothing."""
