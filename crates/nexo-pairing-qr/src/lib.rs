//! Draws QR codes.
