// Reads what a RedisStore has written: all of it, or, in a planned move, all of it while another
// holds the lease and then what has changed since. Blocking, on a connection of its owner's; throws
// RedisError. Bounded pieces, the next asked for while one is worked on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "session/store.h"
#include "store/redis_connection.h"

namespace berth::session {

class RedisRestore {
 public:
  RedisRestore(RedisConnection& reads_from, std::string prefix)
      : reads_from_(reads_from), prefix_(std::move(prefix)) {}
  void restore(RestoreSink& sink);
  // `owner`: who tells the leaving engine that it has read everything.
  void warm_up(RestoreSink& sink, const std::string& name, std::string_view owner);
  bool catch_up(RestoreSink& sink, const std::string& name);  // see RedisStore

 private:
  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  template <class F>
  void scan(const char* command, const std::string& key, F&& each);
  template <class Take>
  void for_sessions(const std::vector<std::string>& sessions, const char* script, Take&& take);
  template <class Take>
  void read_again(std::string_view hash, const std::vector<std::string>& fields, Take&& take);
  void read_all(RestoreSink& sink);
  void read_queues(const std::vector<std::string>& sessions, RestoreSink& sink);
  void read_received(const std::vector<std::string>& sessions, RestoreSink& sink);
  void read_live_records(RestoreSink& sink);
  std::optional<std::vector<RedisReply>> changed_since(const std::string& name);
  std::string run_id();
  std::vector<std::string> members(std::string_view set);

  RedisConnection& reads_from_;
  std::string prefix_;
  std::string warmed_on_;  // run_id of the Redis that warm_up() has read
};

}  // namespace berth::session
