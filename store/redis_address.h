// Where Redis is, and how to log in there: the URL of store.url. Plain data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::session {

// redis://[user[:password]@]host[:port][/db]         one server
// rediss://…                                         the same with TLS
// redis-sentinel://[user[:password]@]host[:port][,host[:port]…]/master[/db][?parameters]
// rediss-sentinel://…                                TLS to sentinels and servers
// redis-cluster://[user[:password]@]host[:port][,host[:port]…]     any nodes of a Redis Cluster
// rediss-cluster://…                                 the same with TLS
// A password alone is written redis://:password@host. %XX is decoded in user and password. These
// are of the servers; what the sentinels want follows:
// …/master?sentinel_password=…&sentinel_user=….
struct RedisAddress {
  struct Node {
    std::string host;
    std::uint16_t port = 0;
  };
  std::vector<Node> nodes;  // the server, the sentinels, or nodes of the cluster
  std::string master;       // empty: no sentinels
  bool cluster = false;
  struct LogIn {
    std::string user;      // empty: the default user
    std::string password;  // empty: no log-in
  };
  LogIn servers;
  LogIn sentinels;
  std::uint32_t database = 0;
  bool tls = false;
  std::string text() const;  // for logs: without the password
};
RedisAddress parse_redis_url(const std::string& url);  // throws std::invalid_argument

}  // namespace berth::session
