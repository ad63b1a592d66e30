"""Many submissions: sharing the work, keeping what is done, tables and pages."""
