//! What the behaviour tests stand on: real servers, real processes, a network that fails on command, and one way to wait.
//!
//! Everything here belongs to the test that made it: it has its own port and directory, ends when the value is dropped, and
//! ends too when the test's process is killed. Traffic stays on loopback.

#![allow(dead_code, reason = "a toolbox: not every suite takes every tool")]

pub(crate) mod cluster;
pub(crate) mod leash;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod resp;
pub(crate) mod sentinel;
pub(crate) mod until;

pub(crate) use self::{
    cluster::RedisCluster,
    process::Process,
    proxy::Proxy,
    redis::RedisServer,
    sentinel::RedisSentinel,
    until::{DEADLINE, until, until_some},
};
