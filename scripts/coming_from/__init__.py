"""What scripts/record_coming_from.py asks of each library."""
