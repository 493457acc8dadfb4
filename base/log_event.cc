#include "base/log_event.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/log_write.h"

namespace berth::base {
namespace {

std::mutex& kinds_mutex() {
  static auto* const mutex = new std::mutex;  // kinds of other files end after it would
  return *mutex;
}

std::vector<const LogKind*>& kinds() {
  static auto* const all = new std::vector<const LogKind*>;
  return *all;
}

const char* name_of(LogKind::Outcome o) {
  return o == LogKind::Outcome::none ? "" : o == LogKind::Outcome::success ? "success" : "failure";
}

}  // namespace

LogKind::LogKind(const char* words, LogLevel level, Outcome outcome,
                 const char* part, const char* cause)
    : words_(words), part_(part), cause_(cause), level_(level), outcome_(outcome) {
  const std::lock_guard lock(kinds_mutex());
  kinds().push_back(this);
}

LogKind::~LogKind() {
  const std::lock_guard lock(kinds_mutex());
  std::erase(kinds(), this);
}

bool LogKind::admits(std::uint64_t source) const {
  return wanted() && admits(source, monotonic_ns() / 1'000'000);
}

// Threads that count at the same moment may let a line more through, or forget one: no harm.
bool LogKind::admits(std::uint64_t source, std::int64_t now_ms) const {
  end_interval(now_ms);
  const std::size_t place = (source * 0x9e3779b97f4a7c15ULL) >> 58;
  std::atomic<std::uint32_t>& by = used_by_[place];
  const bool room = used_.load(std::memory_order_relaxed) < per_interval() &&
                    (source == 0 || by.load(std::memory_order_relaxed) < per_source());
  if (!room) {
    left_out_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  used_.fetch_add(1, std::memory_order_relaxed);
  by.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void LogKind::end_interval(std::int64_t now_ms) const {
  std::int64_t since = since_ms_.load(std::memory_order_relaxed);
  if (since != 0 && now_ms - since < kInterval_ms) return;
  if (!since_ms_.compare_exchange_strong(since, std::max<std::int64_t>(now_ms, 1))) return;
  used_.store(0, std::memory_order_relaxed);
  for (auto& by : used_by_) by.store(0, std::memory_order_relaxed);
  say_left_out();
}

void LogKind::say_left_out() const {
  const std::uint64_t n = left_out_.exchange(0, std::memory_order_relaxed);
  if (n == 0 || !wanted()) return;
  fmt::memory_buffer line;
  fmt::format_to(fmt::appender(line), "log lines left out kind=\"{}\"", words_);
  if (*cause_ != 0) fmt::format_to(fmt::appender(line), " cause={}", cause_);
  fmt::format_to(fmt::appender(line), " lines={} seconds={}", n, kInterval_ms / 1000);
  write_line(part_, "", level_, {line.data(), line.size()});
}

void log_tick(std::int64_t now_ms) {
  end_module_levels(now_ms);
  const std::lock_guard lock(kinds_mutex());
  for (const LogKind* k : kinds()) {
    if (k->left_out() != 0) k->end_interval(now_ms);
  }
}

void log_left_out() {
  const std::lock_guard lock(kinds_mutex());
  for (const LogKind* k : kinds()) k->say_left_out();
}

LogEvent::LogEvent(const LogKind& kind) : kind_(kind) {
  fmt::format_to(fmt::appender(line_), "{}", kind.words());
  add("cause", kind.cause());
}

LogEvent::~LogEvent() {
  write_line(kind_.part(), name_of(kind_.outcome()), kind_.level(), {line_.data(), line_.size()});
}

LogEvent& LogEvent::add(std::string_view name, std::string_view value) {
  if (value.empty()) return *this;
  fmt::format_to(fmt::appender(line_), " {}={}", name, LogName{value, kValueMax});
  return *this;
}

LogEvent& LogEvent::add_number(std::string_view name, std::int64_t value) {
  fmt::format_to(fmt::appender(line_), " {}={}", name, value);
  return *this;
}

LogEvent& LogEvent::add_number(std::string_view name, std::uint64_t value) {
  fmt::format_to(fmt::appender(line_), " {}={}", name, value);
  return *this;
}

LogEvent& LogEvent::peer(const Address& address, std::uint16_t port) {
  if (address == Address{}) return *this;
  return add("peer", port == 0 ? address.text() : address.with_port(port));
}

LogEvent& LogEvent::code(unsigned code) {
  fmt::format_to(fmt::appender(line_), " code=0x{:02x}", code);
  return *this;
}

}  // namespace berth::base
