#include "tests/support/victim.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include "tests/support/raw_client.h"

namespace berth::test {
namespace {

std::uint64_t status_bytes(pid_t pid, const std::string& field) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field)) return std::stoull(line.substr(field.size())) * 1024;
  }
  return 0;
}

double at(const std::vector<double>& sorted, double quantile) {
  if (sorted.empty()) return 0;
  const auto i = static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1));
  return sorted[i];
}

}  // namespace

std::uint64_t resident_bytes(pid_t pid) {
  return status_bytes(pid, "VmRSS:");
}
std::uint64_t resident_peak_bytes(pid_t pid) {
  return status_bytes(pid, "VmHWM:");
}

std::string VictimReport::text() const {
  char line[200];
  std::snprintf(line, sizeof line,
                "victim sent=%llu received=%llu closed=%llu p50=%.1f p99=%.1f max=%.1f ms",
                static_cast<unsigned long long>(sent), static_cast<unsigned long long>(received),
                static_cast<unsigned long long>(closed), p50_ms, p99_ms, max_ms);
  return line;
}

Victim::Victim(Options o) : options_(std::move(o)), thread_([this] { loop(); }) {
  eventually([this] { return begun_ != 0; }, options_.patience);
  if (begun_ == 1) return;
  running_ = false;
  thread_.join();
  throw std::runtime_error("the victim was not let in");
}

Victim::~Victim() {
  running_ = false;
  if (thread_.joinable()) thread_.join();
}

VictimReport Victim::stop() {
  running_ = false;
  thread_.join();
  std::sort(took_ms_.begin(), took_ms_.end());
  report_.p50_ms = at(took_ms_, 0.5);
  report_.p99_ms = at(took_ms_, 0.99);
  report_.max_ms = took_ms_.empty() ? 0 : took_ms_.back();
  return report_;
}

void Victim::loop() {
  RawClient c(options_.port, 0, options_.from);
  c.send(connect(options_.login));
  const auto connack = c.until(2, options_.patience);
  c.send(subscribe(1, options_.topic, 1));
  const auto suback = connack.empty() ? connack : c.until(9, options_.patience);
  if (suback.empty() || suback.back().type != 9) {
    begun_ = 2;
    return;
  }
  begun_ = 1;
  for (unsigned id = 1; running_ && !c.gone(); id = id % 65535 + 1) {
    const auto began = Clock::now();
    c.send(publish(options_.topic, "x", 1, id));
    ++report_.sent;
    const auto all = c.until(3, options_.patience);
    if (all.empty() || all.back().type != 3) break;
    ++report_.received;
    took_ms_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
    c.send(ack(4, all.back().id()));
    ++rounds_;
    eventually([&] { return !running_ || Clock::now() - began > options_.pause; }, options_.pause);
  }
  report_.closed = c.gone() ? 1 : 0;
}

}  // namespace berth::test
