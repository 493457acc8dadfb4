// One connection to the Redis that is master now: address, TLS, AUTH, pipelining. Blocking, with a
// timeout on every call; one thread uses it, interrupt() may come from another.
//
// Source: the Redis protocol (RESP2), the Sentinel client guidelines. Errors throw RedisError;
// after one the connection is closed and connect() begins anew, asking the sentinels again.
//
// No answer is taken for another's: RESP2 has no request numbers, and one answer too many would
// shift all that follow. A script gives back the tag it was called with (its type and a number of
// its own); a command is followed by a PING of such a tag. An answer that does not fit, or is of
// another type than the command has, ends the connection.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "store/redis_address.h"

namespace berth::session {

struct RedisError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// It answers, and refuses writes: replicas are too few (min-replicas-to-write), its memory or its
// disk is full. Everybody who writes is refused alike.
struct RedisRefuses : RedisError {
  using RedisError::RedisError;
};

struct RedisOptions {
  RedisAddress address;
  std::uint32_t timeout_ms = 2000;  // to connect, and for each answer
  std::string tls_ca_file;          // empty: the system's
  std::string tls_cert_file;        // empty: no client certificate
  std::string tls_key_file;
  std::string slot_key;  // of a cluster: connect() goes to the node that has this key's slot
};

struct RedisReply {
  // status: +OK and the like; other: what RESP2 does not have.
  enum class Type : std::uint8_t { nil, text, status, integer, error, array, other };
  Type type = Type::nil;
  std::string text;  // of status and error too
  std::int64_t integer = 0;
  std::vector<RedisReply> items;

  // The value, if it is of this type; RedisError otherwise. Who has called the connection for it
  // closes that then.
  const std::string& as_text() const;
  std::string as_text_or_nil() const;  // nil: empty
  std::int64_t as_integer() const;
  std::uint64_t as_count() const;                   // an integer, not negative
  const std::vector<RedisReply>& as_array() const;  // of any size
  const std::vector<RedisReply>& as_array(std::size_t size) const;
  void as_ok() const;  // +OK
};
// A decimal number that is all of `text`. Throws RedisError.
std::uint64_t redis_number(const std::string& text);

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

  // Several commands ahead: each append() or begin() with add() and its ask(), then one answer()
  // for each. An answer that is an error is thrown.
  void append(std::initializer_list<std::string_view> command);
  void begin(std::size_t arguments);  // a command whose arguments follow by add()
  void add(std::string_view argument);
  void ask();  // sends it, with its tag behind it
  RedisReply answer();
  // A script: `command` is EVAL or EVALSHA; `arguments` of them follow by add(), the tag is the
  // last one behind these. Then flush(), and script_answer() for each: without the tag.
  void begin_script(std::string_view type, std::string_view command, std::string_view script,
                    std::initializer_list<std::string_view> keys, std::size_t arguments);
  void end_script();
  void flush();
  std::vector<RedisReply> script_answer();
  std::vector<RedisReply> script_answer(RedisReply r);  // of one in the answer of EXEC
  RedisReply read();                                    // within a transaction; unchecked
  // The answers to come may take so much longer than timeout_ms; connect() sets it to 0.
  void extend_patience(std::uint32_t ms);
  // One command; an error answer is thrown.
  RedisReply call(std::initializer_list<std::string_view> command);
  // One script of `key` alone, with these arguments.
  std::vector<RedisReply> run(std::string_view type, std::string_view script, std::string_view key,
                              std::initializer_list<std::string_view> arguments);
  [[noreturn]] void fail(const std::string& why);  // closes and throws

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
  std::string next_tag(std::string_view type);

  RedisOptions options_;
  std::vector<RedisAddress::Node> learned_;  // nodes of the cluster, by their own account
  std::mutex fd_mutex_;                      // interrupt() against close()
  std::atomic<int> fd_{-1};
  std::unique_ptr<Tls> tls_;
  std::unique_ptr<Reader> reader_;
  std::string out_;
  std::deque<std::string> due_;  // tags of what was asked for, in order
  std::uint64_t last_tag_;
};

}  // namespace berth::session
