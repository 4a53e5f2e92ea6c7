//! The load generators, both of them single threads in C with 50 connections: `wrk` for HTTP, `redis-benchmark` for
//! Redis. Not here: who is loaded, and for how many rounds.

use crate::NotMeasured;
use crate::process::{LOAD_CORE, output, pinned};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// With one request in flight on each.
pub const CONNECTIONS: usize = 50;

/// What one run of a load generator saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub per_s: f64,
    pub requests: u64,
}

/// One POST, sent again and again.
#[derive(Clone, Debug)]
pub struct Post {
    pub address: SocketAddr,
    pub path: String,
    pub key: String,
    pub body: String,
}

impl Post {
    /// Loads it for `seconds`; an error when any answer was not a 2xx.
    pub fn wrk(&self, seconds: u64, directory: &Path) -> Result<Load, NotMeasured> {
        let script = directory.join("post.lua");
        let text = format!(
            "wrk.method = 'POST'\nwrk.body = '{}'\nwrk.headers['Content-Type'] = 'application/json'\n\
             wrk.headers['Authorization'] = 'Bearer {}'\n",
            self.body, self.key
        );
        fs::write(&script, text).map_err(NotMeasured::io("the script of wrk"))?;
        let mut command = pinned(LOAD_CORE, "wrk");
        command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "-s"]);
        command.arg(&script).arg(format!("http://{}{}", self.address, self.path));
        read_wrk(&output("wrk", &mut command)?)
    }
}

fn read_wrk(text: &str) -> Result<Load, NotMeasured> {
    let wrong = |why: &str| NotMeasured::wrong(format!("{why}: {text}"));
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(wrong("not every request of wrk was answered well"));
    }
    let per_s = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    let requests =
        text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.trim().parse().ok());
    match (per_s, requests) {
        (Some(per_s), Some(requests)) => Ok(Load { per_s, requests }),
        _ => Err(wrong("wrk said something else than usual")),
    }
}

/// Check and decrement in one step: what a credit counter in Redis looks like.
const SCRIPT: &str = "local left = tonumber(redis.call('GET', KEYS[1])) - tonumber(ARGV[1]) \
                      if left < 0 then return -1 end return redis.call('DECRBY', KEYS[1], ARGV[1])";
const BALANCE: &str = "1000000000000000";

/// A Redis with a balance and the script in it.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    script: String,
}

impl Redis {
    pub fn prepare(address: SocketAddr) -> Result<Self, NotMeasured> {
        ask_redis(address, &["SET", "balance", BALANCE])?;
        let loaded = ask_redis(address, &["SCRIPT", "LOAD", SCRIPT])?;
        let script = loaded.lines().nth(1).unwrap_or_default().to_owned();
        let left = ask_redis(address, &["EVALSHA", &script, "1", "balance", "1"])?;
        match left.trim() {
            ":999999999999999" => Ok(Self { address, script }),
            other => Err(NotMeasured::wrong(format!("the script does not decrement: {other}"))),
        }
    }

    pub fn load(&self, requests: u64) -> Result<Load, NotMeasured> {
        let mut command = pinned(LOAD_CORE, "redis-benchmark");
        let (port, count) = (self.address.port().to_string(), requests.to_string());
        let clients = CONNECTIONS.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-c", &clients, "-n", &count, "-P", "1", "--csv"]);
        command.args(["EVALSHA", &self.script, "1", "balance", "1"]);
        let text = output("redis-benchmark", &mut command)?;
        let per_s = text.lines().rev().find_map(|line| line.split("\",\"").nth(1)?.parse().ok());
        let per_s = per_s.ok_or_else(|| NotMeasured::wrong(format!("redis-benchmark said {text}")))?;
        Ok(Load { per_s, requests })
    }
}

/// One command, one short answer.
fn ask_redis(address: SocketAddr, words: &[&str]) -> Result<String, NotMeasured> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 1024];
        let bytes = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..bytes]).into_owned())
    };
    let answer: String = ask().map_err(NotMeasured::io("redis-server"))?;
    if answer.starts_with('-') {
        Err(NotMeasured::wrong(format!("redis-server: {answer}")))
    } else {
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says() {
        let text = "  1 threads and 50 connections\n  60003 requests in 3.00s, 9.00MB read\nRequests/sec:  20001.25\n";
        assert_eq!(read_wrk(text).unwrap(), Load { per_s: 20_001.25, requests: 60_003 });
        assert!(read_wrk(&format!("{text}  Non-2xx or 3xx responses: 1\n")).is_err());
        assert!(read_wrk("unable to connect").is_err());
    }
}
