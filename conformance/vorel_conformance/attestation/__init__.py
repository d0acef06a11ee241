"""Certificates: what a run has shown, signed, so that somebody else can check it without asking anybody."""
