"""Programs to try Sonde on; `sonde demo` starts them. They know nothing of Sonde."""
