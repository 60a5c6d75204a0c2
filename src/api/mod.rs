//! What an operator and their tools may ask over HTTP.
