//! Issues and verifies setup codes.
