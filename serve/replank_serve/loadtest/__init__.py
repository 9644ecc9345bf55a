"""Load tests by MLPerf's scenarios."""
