// One connection to the Redis that is master now: address, TLS, AUTH, pipelining. Blocking, with a
// timeout on every call; one thread uses it, interrupt() may come from another.
//
// Source: the Redis protocol (RESP2), the Sentinel client guidelines. Errors throw RedisError;
// after one the connection is closed and connect() begins anew, asking the sentinels again.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace berth::session {

struct RedisError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// redis://[user[:password]@]host[:port][/db]         one server
// rediss://…                                         the same with TLS
// redis-sentinel://[user[:password]@]host[:port][,host[:port]…]/master[/db]
// rediss-sentinel://…                                TLS to sentinels and servers
// redis-cluster://[user[:password]@]host[:port][,host[:port]…]     any nodes of a Redis Cluster
// rediss-cluster://…                                 the same with TLS
// A password alone is written redis://:password@host. %XX is decoded in user and password.
struct RedisAddress {
  struct Node {
    std::string host;
    std::uint16_t port = 0;
  };
  std::vector<Node> nodes;  // the server, the sentinels, or nodes of the cluster
  std::string master;       // empty: no sentinels
  bool cluster = false;
  std::string user;
  std::string password;
  std::uint32_t database = 0;
  bool tls = false;
  std::string text() const;  // for logs: without the password
};
RedisAddress parse_redis_url(const std::string& url);  // throws std::invalid_argument

struct RedisOptions {
  RedisAddress address;
  std::uint32_t timeout_ms = 2000;  // to connect, and for each answer
  std::string tls_ca_file;          // empty: the system's
  std::string tls_cert_file;        // empty: no client certificate
  std::string tls_key_file;
  std::string slot_key;  // of a cluster: connect() goes to the node that has this key's slot
};

struct RedisReply {
  enum class Type : std::uint8_t { nil, text, integer, error, array };
  Type type = Type::nil;
  std::string text;  // of error too
  std::int64_t integer = 0;
  std::vector<RedisReply> items;
};

class RedisConnection {
 public:
  explicit RedisConnection(RedisOptions options);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  void connect();         // to the master; nothing if connected
  void connect_to_any();  // to the first node, whatever it is
  bool connected() const { return fd_ >= 0; }
  void close();
  void interrupt();  // from any thread: what waits for the server fails now

  // Appends a command; flush() sends all of them, read() takes one answer each. An answer that is
  // an error is returned, not thrown.
  void append(std::initializer_list<std::string_view> command);
  void begin(std::size_t arguments);  // a command whose arguments follow by add()
  void add(std::string_view argument);
  void flush();
  RedisReply read();
  RedisReply expect();  // read(); an error answer is thrown
  // How long the answers to come may take; connect() sets it to timeout_ms.
  void set_patience(std::uint32_t ms);
  // One command; an error answer is thrown.
  RedisReply call(std::initializer_list<std::string_view> command);

 private:
  struct Tls;
  struct Reader;
  void connect_to(const RedisAddress::Node& node, bool sentinel);
  RedisAddress::Node ask_sentinels();
  RedisAddress::Node ask_cluster();
  RedisAddress::Node find_slot(const RedisAddress::Node& from);
  void open_socket(const RedisAddress::Node& node);
  void start_tls(const std::string& host);
  void log_in(bool sentinel);
  std::size_t receive(char* to, std::size_t size);
  std::size_t transmit(const char* from, std::size_t size);
  [[noreturn]] void fail(const std::string& why);

  RedisOptions options_;
  std::vector<RedisAddress::Node> learned_;  // nodes of the cluster, by their own account
  std::mutex fd_mutex_;                      // interrupt() against close()
  std::atomic<int> fd_{-1};
  std::unique_ptr<Tls> tls_;
  std::unique_ptr<Reader> reader_;
  std::string out_;
};

}  // namespace berth::session
