//! One failover core for Redis Sentinel, for programs that block.
