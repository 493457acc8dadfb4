// A real redis-server of a test's own, with an append-only file that is synced at every write, and
// a sentinel.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/redis_connection.h"
#include "tests/support/process.h"

namespace berth::test {

class RedisServer {
 public:
  // `flags` of redis-server, beside those that keep it on loopback, on a free port and durable. A
  // flag "TLS_PORT" becomes another free port.
  explicit RedisServer(std::vector<std::string> flags = {});
  ~RedisServer();
  void start();  // again after kill9(): the same directory and port
  void kill9();
  void stop() { process_->send(SIGSTOP); }
  void go_on() { process_->send(SIGCONT); }
  int port() const { return port_; }
  int tls_port() const { return tls_port_; }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  const std::string& directory() const { return directory_; }
  // Asks it; throws RedisError.
  session::RedisReply call(std::initializer_list<std::string_view> command) const;

 private:
  std::vector<std::string> flags_;
  std::string directory_;
  int port_ = 0;
  int tls_port_ = 0;
  std::unique_ptr<Process> process_;
};

// One sentinel that watches `master` under the name "m" and promotes a replica after half a second.
class RedisSentinel {
 public:
  explicit RedisSentinel(const RedisServer& master);
  ~RedisSentinel();
  std::string url() const;
  session::RedisReply call(std::initializer_list<std::string_view> command) const;

 private:
  std::string directory_;
  int port_ = 0;
  std::unique_ptr<Process> process_;
};

// A Redis Cluster: three masters, a replica of each.
class RedisCluster {
 public:
  RedisCluster();
  std::string url() const;
  RedisServer& node(std::size_t i) { return *nodes_[i]; }
  // The node that is master of the key's slot now, as a node says that is not `except`.
  RedisServer& owner(const std::string& key, const RedisServer* except = nullptr);

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

}  // namespace berth::test
