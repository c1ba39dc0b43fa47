"""What holds for all tests, before anything imports numpy."""

from planning.cli import same_arithmetic

same_arithmetic()
