"""What rgate answers itself."""
