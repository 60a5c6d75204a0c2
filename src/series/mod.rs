//! Samples become aligned rows: registry, clean, cadence, blocks, and the ticks that a watermark drives.
