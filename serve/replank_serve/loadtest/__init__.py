"""Load tests with MLPerf's scenarios."""
