"""What rgate tells about itself, and how its workers tell it together."""
