//! A simulated mail host: a causal model seeded and deterministic, printed as an exporter would. Simulated, and named so.
