// The commands of a partition's devices, from acceptance to their one outcome. A device's home
// partition decides (home_of()): one writer, so a command id is accepted once, wherever the
// device's session is and whichever process the platform asks. Owned by the Platform; calls in,
// LedgerPorts out, time as an argument. One shard, one thread.
//
// Durable before it is true: what a call changes is written into the open batch; the answer to the
// platform and the command itself leave when that batch is committed. Open commands are in memory
// and restored; those with an outcome are in the store only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/string_map.h"
#include "platform/command.h"
#include "platform/records.h"
#include "session/store.h"

namespace berth::platform {

// What a platform asks for, checked for its form (names, sizes) before.
struct Asked {
  std::string tenant;
  std::string id;      // the platform's, 1 to 64 characters
  std::string device;  // the target
  std::string executor;
  std::string child;
  std::string type;
  std::string payload;
  std::string content;  // SHA-256 of what was asked for
  std::string slot;
  std::string caller, operator_id, operator_type, reason, trace_parent;
  std::uint32_t ttl_ms = 0;  // 0: of the type
};

// Of the command's type and the target's product (catalog.h).
struct Terms {
  Delivery delivery = Delivery::immediate;
  std::uint32_t ttl_ms = 0;     // unless it asks for less
  std::uint32_t result_ms = 0;  // Command::result_ms
  std::string site;             // of the target
};

struct Entry {
  Asked asked;
  std::string site;
  std::int64_t accepted_wall_ms = 0;
  std::uint32_t ttl_ms = 0;
  Command command;
};
std::string encode(const Entry& e);
bool decode(std::string_view record, Entry& out);

// What an engine with the device's session is to do: Dispatcher.
struct Dispatch {
  std::uint32_t attempt = 0;
  const Entry* entry = nullptr;
};

class LedgerPorts {
 public:
  // To the engine of the executor's session, in the open batch or when it is durable. Its words
  // come back as Ledger::sent() and the like.
  virtual void dispatch(const Dispatch& d) = 0;
  // Once for each command, in the batch that ends it.
  virtual void finished(const Entry& e) = 0;
  virtual void late_result(const Entry& e, const Result& r) = 0;

 protected:
  ~LedgerPorts() = default;
};

struct LedgerOptions {
  std::size_t open_max = 100'000;     // commands without an outcome
  std::size_t device_open_max = 100;  // of one device
  std::size_t in_flight_max = 16;     // of one device: handed out, no result yet
  std::size_t asking_max = 1'000;     // ids that the store is being asked about
  std::size_t line_max = 16;          // questions about one id meanwhile
};

// Why a command is not accepted. Stable codes.
struct Refusal {
  int status = 0;  // HTTP; 0: accepted, or it was before
  const char* code = "";
  std::string text;
};

class Ledger {
 public:
  // `records` and `ports` outlive it.
  Ledger(LedgerOptions options, Records& records, LedgerPorts& ports)
      : options_(options), records_(records), ports_(ports) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // -- restore: what the store has of live records, then all at once
  static bool is_key(std::string_view key);  // of a live record of ours
  void restored(std::string_view key, std::string_view record);
  void forget(std::string_view key);

  // Answered once. `entry` is null with a refusal; `before`: it had been accepted earlier, and this
  // is how it stands.
  struct Answer {
    Refusal refusal;
    const Entry* entry = nullptr;
    bool before = false;
  };
  using Answered = std::function<void(const Answer&)>;
  // `terms` are asked for when the command is known to be new: they cost a look into the registry.
  using TermsOf = std::function<Refusal(const Asked&, Terms&)>;
  void submit(Asked asked, const TermsOf& terms_of, At at, Answered answered);
  // Null: no such command. Valid during the call only.
  using Found = std::function<void(const Entry*)>;
  void find(std::string_view tenant, std::string_view id, Found found);
  // `answered`: as of submit(); a refusal 409 too_late when it may be on its way.
  void cancel(std::string_view tenant, std::string_view id, At at, Answered answered);

  // -- the executor's session: `device` is a key, device_key()
  void online(const std::string& device, At at);
  void offline(const std::string& device);

  // -- words of the engine that has it; said again after a death of either engine
  void sent(std::string_view tenant, std::string_view id, std::uint32_t attempt, At at);
  void dropped(std::string_view tenant, std::string_view id, std::uint32_t attempt,
               std::string_view code, At at);
  void cut_off(std::string_view tenant, std::string_view id, std::uint32_t attempt, At at);
  void received(std::string_view tenant, std::string_view id, At at);
  // `device`: who says it; of another device's command it is not taken.
  void result(std::string_view tenant, std::string_view id, std::string_view device,
              const Result& r, At at);

  // Ends what is due.
  void expire(At at);
  base::Instant next_due() const { return due_.empty() ? base::kNever : due_.begin()->first; }
  std::size_t open() const { return open_.size(); }

  static std::string device_key(std::string_view tenant, std::string_view device);
  static std::string final_key(std::string_view tenant, std::string_view id);

 private:
  struct Open {
    Entry entry;
    std::string key;  // tenant NUL id
    base::Instant due = base::kNever;
  };
  struct Device {
    bool online = false;
    std::vector<Open*> commands;  // in the order of their acceptance
  };
  struct Ended {
    Entry entry;
    std::uint32_t writes = 0;  // that are not committed
  };
  struct Waiter {
    Asked asked;
    TermsOf terms_of;
    At at;
    Answered answered;
  };

  Open* find_open(std::string_view tenant, std::string_view id);
  void decide(std::string_view key, base::result<std::vector<session::StoredRecord>> found);
  void admit(Waiter& w);
  Refusal limits(const Asked& asked, const Terms& terms) const;
  void replace_slot(const Open& by, Device& device, At at);
  Device& device_of(const Entry& e);
  void hand_out(Device& device, At at);
  void settle(At at);  // at the end of each call that may have finished a command
  void changed(Open& o, Change change);
  void write(const Open& o);
  void close(Open& o);
  void put_ended(const std::string& key, const Entry& e);
  const Entry* find_ended(std::string_view tenant, std::string_view id) const;
  void note_late(std::string_view tenant, std::string_view id, std::string_view device,
                 const Result& r, At at);
  static void answer_as_before(const Waiter& w, const Entry& e);

  LedgerOptions options_;
  Records& records_;
  LedgerPorts& ports_;
  base::StringMap<std::unique_ptr<Open>> open_;
  base::StringMap<Device> devices_;              // with open commands, or online
  base::StringMap<std::vector<Waiter>> asking_;  // the store, whether the id is known
  std::set<std::pair<base::Instant, Open*>> due_;
  std::vector<std::string> ready_;  // devices whose window has room again
  // With an outcome that is not committed yet: the store does not know of it.
  base::StringMap<Ended> ended_;
};

}  // namespace berth::platform
