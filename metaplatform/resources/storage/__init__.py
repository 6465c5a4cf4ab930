"""What stands below a storage root: tables, the loop's memory, records of what was made."""
