// The last events of each registered device, in one partition, always on: who came, who went and
// why, what became of commands. In the store only, written in the open batch beside what caused
// them. Owned by DeviceWatch. One shard, one thread.
//
// Bounds: kPerDevice events of a device (and kTrimEach more until they are removed), kKeepMs, about
// 200 bytes each; HistoryOptions::max_bytes in all: above that what is older than half the time is
// removed, and so on. A device writes kPerMinute events a minute; the next one says how many were
// left out. An event stands twice, by device and by site, so that both lists are one read.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "platform/causes.h"
#include "platform/command.h"
#include "platform/options.h"
#include "platform/records.h"

namespace berth::platform {

namespace pb {
class HistoryEvent;
class HistoryQuestion;
}  // namespace pb

enum class HistoryKind : std::uint8_t {  // stored: append only
  connected = 1,
  ended = 2,       // a connection: cause, evidence
  taken_over = 3,  // the same, by another connection
  refused = 4,     // a log-in: why
  command = 5,     // its outcome
  quota = 6,
  changed = 7,  // its record in the registry
  presence = 8  // what its platform was told: of streams only (recent_events.h), not stored
};
const char* name_of(HistoryKind k);
inline constexpr unsigned kStoredKinds = 8;
inline constexpr unsigned kHistoryKinds = 9;

// Views; texts are cut to kTextMax bytes.
struct Happening {
  HistoryKind kind{};
  std::string_view tenant, site, device;
  std::uint64_t epoch = 0;
  std::string_view cause = {};
  std::string_view detail = {};
  std::string_view client_id = {};
  std::string_view address = {};
  std::string_view protocol = {};
  std::string_view id = {};
};

class History {
 public:
  static constexpr std::size_t kPerDevice = 500;
  static constexpr std::size_t kTrimEach = 100;
  static constexpr std::int64_t kKeepMs = 7 * 86'400'000LL;
  static constexpr std::size_t kTextMax = 48;
  static constexpr unsigned kPerMinute = 60;

  // `records` outlives it.
  History(HistoryOptions options, Records& records);
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  static bool is_key(std::string_view key);  // of the live record of ours
  void restored(std::string_view record);

  // Writes an event. `id`: of the device, for the share of a minute.
  void add(std::uint64_t id, const Happening& h, At at);
  // The same; `out`: the event with its place. False: it was left out.
  bool add(std::uint64_t id, const Happening& h, At at, pb::HistoryEvent& out);
  std::uint64_t take_number() { return next_number_++; }
  void leave_out() { ++counts_.left_out; }  // there was no room for it
  // Removes what the device has above kPerDevice.
  void trim(std::string_view tenant, std::string_view device);
  void tick(At at);  // about once a second: removes what is old, a part each time
  using Answered = std::function<void(std::string answer)>;
  // Is HistoryQuestion.q in what people call the device?
  using IsCalled =
      std::function<bool(std::string_view tenant, std::string_view device, std::string_view text)>;
  void ask(std::string_view question, Answered answered, IsCalled is_called = {}) const;

  std::int64_t bytes() const { return bytes_; }
  struct Counts {
    std::uint64_t written = 0;
    std::uint64_t left_out = 0;
    std::uint64_t removed = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Query;
  struct Share {
    std::uint64_t id = 0;
    std::int64_t minute = 0;
    std::uint32_t events = 0;
    std::uint32_t left_out = 0;
  };
  bool has_share(std::uint64_t id, At at, std::uint32_t& left_out);
  void remove(std::string_view tenant, std::string_view device_key, std::string_view value);
  void sweep_part(At at);
  void swept(const std::vector<session::StoredRecord>& found, At at);
  void look(std::shared_ptr<Query> q) const;

  HistoryOptions options_;
  Records& records_;
  std::array<Share, 4096> shares_{};
  std::uint64_t next_number_;
  std::int64_t bytes_ = 0;
  std::int64_t stored_bytes_ = 0;  // of `bytes_`, as the live record says
  std::int64_t keep_ms_ = kKeepMs;
  std::string sweep_from_;
  bool sweeping_ = false;  // a read is under way
  std::int64_t rest_until_ms_ = 0;
  Counts counts_;
};

}  // namespace berth::platform
