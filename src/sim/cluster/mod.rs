//! The simulated Zimbra cluster: mailbox stores, MTAs, proxies and directory servers that depend on each other.

pub mod readings;
