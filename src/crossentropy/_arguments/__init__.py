"""What a caller passed: arrays of any library, checked and refused under the name that the caller knows."""
