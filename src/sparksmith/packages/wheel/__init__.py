"""Pure readers of wheels and of the binaries in them."""
