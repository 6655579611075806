"""Checks and conversion of arguments: arrays of any library, and errors under the names that the caller knows."""
