//! What tests and chaos runs stand on: real servers, real processes, a network that fails on command, and one way to wait.
//!
//! Everything here belongs to the run that made it: it has its own port and directory, ends when the value is dropped, and
//! ends too when the process that made it is killed. Traffic stays on loopback.

pub mod cluster;
pub mod leash;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod resp;
pub mod sentinel;
pub mod until;

pub use self::{
    cluster::RedisCluster,
    process::Process,
    proxy::{Direction, Lost, Proxy},
    redis::RedisServer,
    sentinel::RedisSentinel,
    until::{DEADLINE, until, until_some},
};
