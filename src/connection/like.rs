//! [`Connection`] as a [`redis::ConnectionLike`].

use std::fmt;

use redis::{Cmd, ConnectionLike, RedisError, RedisResult, Value};

use super::Connection;

/// As redis-rs's own connection: error replies are values here, and `Cmd::query` and
/// `Pipeline::query` make errors of them.
impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, packed: &[u8]) -> RedisResult<Value> {
        if packed.is_empty() {
            return Err(RedisError::from((redis::ErrorKind::Client, "empty command")));
        }
        Ok(self.request(packed, None)?)
    }

    fn req_packed_commands(
        &mut self,
        packed: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if packed.is_empty() {
            return Err(RedisError::from((redis::ErrorKind::Client, "empty command")));
        }
        self.request_many(packed, offset, count, None)?.into_redis()
    }

    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        if command.args_iter().len() == 0 {
            return Err(RedisError::from((redis::ErrorKind::Client, "empty command")));
        }
        let reply = self.request_command(command)?;
        // Such a command is answered nevertheless. redis-rs leaves the answer lying there, to be
        // taken for the answer to something else.
        Ok(if command.is_no_response() { Value::Nil } else { reply })
    }

    fn get_db(&self) -> i64 {
        self.state().database()
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<Value>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        Connection::is_open(self)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("address", self.address())
            .field("open", &Connection::is_open(self))
            .field("state", &self.state())
            .finish()
    }
}
