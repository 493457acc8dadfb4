// Lines of the log about one client, connection or request: words that stay, then fields with names
// that stay (docs/operations.md, "Logs", has them all). What follows from a name in a line stands
// in log_ecs.h: the same line, in ECS's fields.
//
//   const LogKind kRefused{"client refused", LogLevel::warn, Outcome::failure, "edge"};
//   if (kRefused.admits(AddressHash{}(address)))
//     LogEvent(kRefused).add("client", id).peer(address, port).add("reason", "no room");
//
// A LogKind has static storage. At most `per_interval` of its lines are written in 10 s, and a
// fifth of that of one source: a flood of one kind hides no other kind, one noisy client not the
// others. What is left out is counted and said per kind when the interval is over. Any thread.
#pragma once

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/address.h"
#include "base/log_level.h"
#include "base/log_levels.h"
#include "base/log_text.h"

namespace berth::base {

class LogKind {
 public:
  enum class Outcome : std::uint8_t { none, success, failure };
  static constexpr std::int64_t kInterval_ms = 10'000;
  static constexpr std::uint32_t kPerInterval = 100;
  static constexpr std::uint32_t kPerIntervalDebug = 5'000;  // debug lines are asked for

  // All string literals. `part` becomes log.logger; `cause`: a word that tells kinds with the same
  // words apart, the first field of each line.
  LogKind(const char* words, LogLevel level, Outcome outcome, const char* part,
          const char* cause = "");
  ~LogKind();
  LogKind(const LogKind&) = delete;
  LogKind& operator=(const LogKind&) = delete;

  bool wanted() const { return log_wanted(level_) && log_wanted_of(part_, level_); }
  // May one more line be written? `source`: a hash of whoever it is about; 0: not said.
  bool admits(std::uint64_t source) const;
  bool admits(std::uint64_t source, std::int64_t now_ms) const;
  // Ends an interval that is over and says what it has left out.
  void end_interval(std::int64_t now_ms) const;
  void say_left_out() const;

  const char* words() const { return words_; }
  const char* cause() const { return cause_; }
  const char* part() const { return part_; }
  LogLevel level() const { return level_; }
  Outcome outcome() const { return outcome_; }
  std::uint32_t per_interval() const {
    return level_ <= LogLevel::debug ? kPerIntervalDebug : kPerInterval;
  }
  std::uint32_t per_source() const { return per_interval() / 5; }
  std::uint64_t left_out() const { return left_out_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kSources = 64;  // by hash: two sources may share a place
  const char* words_;
  const char* part_;
  const char* cause_;
  LogLevel level_;
  Outcome outcome_;
  mutable std::atomic<std::int64_t> since_ms_{0};
  mutable std::atomic<std::uint32_t> used_{0};
  mutable std::array<std::atomic<std::uint32_t>, kSources> used_by_{};
  mutable std::atomic<std::uint64_t> left_out_{0};  // and not said yet
};

// Says of all kinds what intervals that are over have left out; about once a second.
void log_tick(std::int64_t now_ms);
// What is left out and not said yet, at the end of the process.
void log_left_out();

// One line, written when it is destroyed. A value is cut at kValueMax bytes and quoted where it has
// to be (LogName); empty values are left out.
class LogEvent {
 public:
  static constexpr std::size_t kValueMax = 256;
  explicit LogEvent(const LogKind& kind);
  ~LogEvent();
  LogEvent(const LogEvent&) = delete;
  LogEvent& operator=(const LogEvent&) = delete;
  LogEvent& add(std::string_view name, std::string_view value);
  template <std::integral T>
  LogEvent& add(std::string_view name, T value) {
    if constexpr (std::is_signed_v<T>) return add_number(name, static_cast<std::int64_t>(value));
    return add_number(name, static_cast<std::uint64_t>(value));
  }
  LogEvent& peer(const Address& address, std::uint16_t port);  // nothing if it is not known
  LogEvent& code(unsigned code);                               // as MQTT's: 0x87

 private:
  LogEvent& add_number(std::string_view name, std::int64_t value);
  LogEvent& add_number(std::string_view name, std::uint64_t value);

  const LogKind& kind_;
  fmt::memory_buffer line_;
};

}  // namespace berth::base
