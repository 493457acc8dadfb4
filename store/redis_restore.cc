#include "store/redis_restore.h"

#include <algorithm>
#include <unordered_set>

#include "base/bytes.h"
#include "base/log.h"
#include "store/redis_script.h"

namespace berth::session {
namespace {

constexpr std::string_view kScanCount = "1000";
constexpr std::size_t kPipeline = 1000;

}  // namespace

template <class F>
void RedisRestore::scan(const char* command, const std::string& name, F&& each) {
  const auto ask = [&](const std::string& cursor) {
    reads_from_.append({command, name, cursor, "COUNT", kScanCount});
    reads_from_.ask();
  };
  ask("0");
  for (bool more = true; more;) {
    const RedisReply r = reads_from_.answer();
    more = redis_number(r.as_array(2)[0].as_text()) != 0;
    if (more) ask(r.items[0].text);  // Redis works on it while we do on this
    each(r.items[1].as_array());
  }
}

std::vector<std::string> RedisRestore::members(std::string_view set) {
  std::unordered_set<std::string> all;  // a scan may name one twice
  scan("SSCAN", key(set), [&](const std::vector<RedisReply>& found) {
    for (const RedisReply& r : found) all.insert(r.as_text());
  });
  return {all.begin(), all.end()};
}

// Runs a script over sessions, a bounded number in each call, calls ahead of answers:
// one command a session would take ten times as long. `take` gets three texts at a time.
template <class Take>
void RedisRestore::for_sessions(const std::vector<std::string>& sessions, const char* script,
                                Take&& take) {
  const auto ask = [&](std::size_t at) {
    const std::size_t end = std::min(sessions.size(), at + kPipeline);
    reads_from_.begin_script("sessions", "EVAL", script, {prefix_}, end - at);
    for (std::size_t i = at; i < end; ++i) reads_from_.add(sessions[i]);
    reads_from_.end_script();
    reads_from_.flush();
  };
  if (!sessions.empty()) ask(0);
  for (std::size_t at = 0; at < sessions.size(); at += kPipeline) {
    if (at + kPipeline < sessions.size()) ask(at + kPipeline);
    const auto found = reads_from_.script_answer();
    if (found.size() % 3 != 0) throw RedisError("not three of each session");
    for (std::size_t i = 0; i < found.size(); i += 3) {
      take(session_of(found[i].as_text()), found[i + 1].as_text(), found[i + 2].as_text());
    }
  }
}

void RedisRestore::restore(RestoreSink& sink) {
  reads_from_.close();  // it may be of a server that is gone
  reads_from_.connect();
  changed_since("");
  read_all(sink);
}

void RedisRestore::read_all(RestoreSink& sink) {
  std::unordered_set<std::string> seen;
  const auto pairs = [&](const char* name, auto&& each) {
    seen.clear();
    scan("HSCAN", key(name), [&](const std::vector<RedisReply>& found) {
      if (found.size() % 2 != 0) throw RedisError("not a hash's fields");
      for (std::size_t i = 0; i < found.size(); i += 2) {
        if (seen.insert(found[i].as_text()).second) each(found[i].text, found[i + 1].as_text());
      }
    });
  };
  sink.expect_sessions(reads_from_.call({"HLEN", key("sessions")}).as_count());
  pairs("sessions", [&](const std::string& id, const std::string& record) {
    sink.session(session_of(id), record);
  });
  read_queues(members("queues"), sink);
  read_received(members("receivers"), sink);
  pairs("retained", [&](const std::string& k, const std::string& v) { sink.retained(k, v); });
  pairs("applied", [&](const std::string& k, const std::string& v) { sink.applied(k, v); });
  read_live_records(sink);
}

void RedisRestore::read_live_records(RestoreSink& sink) {
  std::string from = std::string("[") + kLiveRecord;
  const std::string to = std::string("(") + static_cast<char>(kLiveRecord + 1);
  std::string before;
  for (;;) {
    const RedisReply found = reads_from_.call(
        {"ZRANGEBYLEX", key("keys"), from, to, "LIMIT", "0", std::to_string(kPipeline)});
    std::vector<std::string> keys;
    for (const RedisReply& r : found.as_array()) {
      if (r.as_text() <= before || r.text[0] != kLiveRecord)
        throw RedisError("keys of records are out of order");
      keys.push_back(before = r.text);
    }
    if (keys.empty()) return;
    read_again("records", keys,
               [&](const std::string& k, const std::string& v) { sink.record(k, v); });
    from = "(" + before;
  }
}

void RedisRestore::read_queues(const std::vector<std::string>& sessions, RestoreSink& sink) {
  for_sessions(sessions, kQueuesScript,
               [&](base::SessionId id, const std::string& first, const std::string& last) {
                 sink.queue(id, entry_of(first), entry_of(last));
               });
}

void RedisRestore::read_received(const std::vector<std::string>& sessions, RestoreSink& sink) {
  for_sessions(sessions, kReceivedScript,
               [&](base::SessionId id, const std::string& packet, const std::string& from) {
                 sink.received(id, static_cast<std::uint16_t>(base::get_key64(packet)), from);
               });
}

// -- a planned move: read all before the lease is ours, then what has changed

std::string RedisRestore::run_id() {
  const std::string info = reads_from_.call({"INFO", "server"}).as_text();
  const std::size_t at = info.find("run_id:");
  return at == std::string::npos ? std::string() : info.substr(at, 47);
}

void RedisRestore::warm_up(RestoreSink& sink, const std::string& name, std::string_view owner) {
  reads_from_.connect();
  warmed_on_ = run_id();
  if (reads_from_.call({"GET", key("warm")}).as_text_or_nil() != name)
    throw RedisError("the warming has ended");
  read_all(sink);
  reads_from_.call({"SADD", key("warmed"), owner}).as_count();
}

// Nothing: the warming was another.
std::optional<std::vector<RedisReply>> RedisRestore::changed_since(const std::string& name) {
  auto found = reads_from_.run("changed", kChangedScript, prefix_, {name});
  if (found.empty()) return {};
  return found.front().as_array();
}

bool RedisRestore::catch_up(RestoreSink& sink, const std::string& name) {
  reads_from_.close();
  reads_from_.connect();
  const auto changed = changed_since(name);
  if (!changed || run_id() != warmed_on_) return false;
  std::vector<std::string> sessions;
  std::vector<std::string> retained;
  std::vector<std::string> applied;
  std::vector<std::string> records;
  for (const RedisReply& c : *changed) {
    const char kind = c.as_text().empty() ? ' ' : c.text[0];
    auto* const of = kind == 's'   ? &sessions
                     : kind == 'r' ? &retained
                     : kind == 'a' ? &applied
                     : kind == 'e' ? &records
                                   : nullptr;
    if (of == nullptr) throw RedisError("not what has changed");
    of->push_back(c.text.substr(1));
  }
  for (const std::string& id : sessions) sink.forget(session_of(id));
  read_again("sessions", sessions, [&](const std::string& id, const std::string& record) {
    sink.session(session_of(id), record);
  });
  read_queues(sessions, sink);
  read_received(sessions, sink);
  for (const std::string& k : retained) sink.forget_retained(k);
  read_again("retained", retained,
             [&](const std::string& k, const std::string& v) { sink.retained(k, v); });
  for (const std::string& k : applied) sink.forget_applied(k);
  read_again("applied", applied,
             [&](const std::string& k, const std::string& v) { sink.applied(k, v); });
  for (const std::string& k : records) sink.forget_record(k);
  read_again("records", records,
             [&](const std::string& k, const std::string& v) { sink.record(k, v); });
  BERTH_LOG(info, "caught up sessions={} others={}", sessions.size(),
            retained.size() + applied.size() + records.size());
  return true;
}

// Those of `fields` that the hash still has.
template <class Take>
void RedisRestore::read_again(std::string_view hash, const std::vector<std::string>& fields,
                              Take&& take) {
  for (std::size_t at = 0; at < fields.size(); at += kPipeline) {
    const std::size_t end = std::min(fields.size(), at + kPipeline);
    reads_from_.begin(2 + end - at);
    reads_from_.add("HMGET");
    reads_from_.add(key(hash));
    for (std::size_t i = at; i < end; ++i) reads_from_.add(fields[i]);
    reads_from_.ask();
    const RedisReply found = reads_from_.answer();
    for (std::size_t i = 0; i < found.as_array(end - at).size(); ++i) {
      if (found.items[i].type == RedisReply::Type::nil) continue;
      take(fields[at + i], found.items[i].as_text());
    }
  }
}

}  // namespace berth::session
