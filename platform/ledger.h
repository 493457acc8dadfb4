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
#include "platform/command_record.h"
#include "platform/late_results.h"
#include "platform/notes.h"
#include "platform/records.h"
#include "session/store.h"

namespace berth::platform {

// Of the command's type and the target's product (catalog.h).
struct Terms {
  Delivery delivery = Delivery::immediate;
  std::uint32_t ttl_ms = 0;     // unless it asks for less
  std::uint32_t result_ms = 0;  // Command::result_ms
  std::string type;             // canonical; empty: as asked for
  std::string payload;          // instead of none
  std::string site;             // of the target
  std::string executor;         // the device that is told; empty: the target itself
  std::string executor_site;
  std::string child;  // the part behind it
};

// What an engine with the device's session is to do: Dispatcher.
struct Dispatch {
  std::uint32_t attempt = 0;
  std::uint32_t partition = 0;  // of the session
  const Entry* entry = nullptr;
};

class LedgerPorts {
 public:
  // In the batch that accepts it.
  virtual void accepted(const Entry& e) = 0;
  // To the engine of the executor's session, in the open batch. Its words come back as
  // Ledger::sent() and the like.
  virtual void dispatch(const Dispatch& d) = 0;
  // Is the device connected, as far as this partition knows? The partition + 1; 0: no.
  virtual std::uint32_t locate(std::string_view tenant, std::string_view device) = 0;
  // Has it a connection in this partition, with or without a subscription?
  virtual bool is_coming(std::string_view /*tenant*/, std::string_view /*device*/) { return false; }
  // Commands wait for this device (or no more): Ledger::online() and offline() are to be called
  // when it comes and goes, coming() when it has a connection and has not subscribed to anything
  // yet; at once if it is there.
  virtual void wants(std::string_view tenant, std::string_view device, bool no_more) = 0;
  // Once for each command, in the batch that ends it.
  virtual void finished(const Entry& e) = 0;
  virtual void late_result(const Entry& e, const Result& r) = 0;
  // A person has closed it, in the batch that says so.
  virtual void closed(const Entry& /*e*/) {}
  // A device has said a result of a command that is not known here, or is another device's.
  virtual void stray_result() = 0;

 protected:
  ~LedgerPorts() = default;
};

struct LedgerOptions {
  std::size_t open_max = 100'000;                       // commands without an outcome
  std::size_t open_bytes_max = std::size_t{256} << 20;  // of them, in memory
  std::size_t device_open_max = 100;                    // of one device
  std::size_t in_flight_max = 16;                       // of one device: handed out, no result yet
  std::size_t asking_max = 1'000;                       // ids that the store is being asked about
  std::size_t line_max = 16;                            // questions about one id meanwhile
  std::size_t late_max = 256;  // results without an open command that the store looks up
};

// Why a command is not accepted. Stable codes.
struct Refusal {
  int status = 0;  // HTTP; 0: accepted, or it was before
  const char* code = "";
  std::string text;
};

inline const Refusal kUnreadable{503, "store_unavailable", "the store can't be read now"};

class Ledger {
 public:
  static constexpr std::int64_t kAgainMs = 5000;  // the first time; doubled to 80 s

  // `records` and `ports` outlive it.
  Ledger(LedgerOptions options, Records& records, LedgerPorts& ports)
      : options_(options),
        records_(records),
        ports_(ports),
        late_(records, options.late_max,
              [this](const LateResult& late, const Entry* e) { looked_up(late, e); }) {}
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
  // Null: no such command; with `unknown` the store can't be read now. Valid during the call only.
  using Found = std::function<void(const Entry*, bool unknown)>;
  void find(std::string_view tenant, std::string_view id, Found found);
  // `answered`: as of submit(); a refusal 409 too_late when it may be on its way.
  void cancel(std::string_view tenant, std::string_view id, At at, Answered answered);

  // Notes what a person has found out of a command that has its outcome. `answered`: as of
  // submit(); a refusal 409 not_finished, or closed if somebody has done so before.
  void close_case(std::string_view tenant, std::string_view id, Entry::Closed closed,
                  Answered answered);

  void replaced(std::string_view tenant, std::string_view id, At at);

  // -- the executor's session: `device` is a key, device_key()
  void online(const std::string& device, std::uint32_t partition, At at);
  // From that partition; another one may have its session.
  void coming(const std::string& device, At at);
  void offline(const std::string& device, std::uint32_t partition);
  // The engine of a partition is a new one: it does not know what we want to hear.
  void want_again();

  // Its acceptance is durable; for traces.
  void durable(std::string_view tenant, std::string_view id, At at);

  // -- words of the engine that has it, by the command's serial
  void word(std::uint64_t serial, std::uint32_t attempt, Fate fate, std::string_view code, At at);
  // `device`: who says it; of another device's command it is not taken. `id` may be kUnnamed and a
  // type. Beyond `late_max` a result without an open command is not looked up: a device may make up
  // ids as it likes. `elsewhere`: another partition is told too, so the command may be there.
  void result(std::string_view tenant, std::string_view id, std::string_view device,
              const Result& r, At at, bool elsewhere = false);

  // Ends what is due, a part at a time: next_due() says whether more is.
  void expire(At at);
  base::Instant next_due() const {
    const base::Instant due = due_.empty() ? base::kNever : due_.begin()->first;
    return std::min(late_.next_due(), again_.empty() ? due : std::min(due, again_.begin()->first));
  }
  std::size_t open() const { return open_.size(); }

  // Open commands that a device has been told and may still answer, if it was told in `partition`,
  // or if that is not known.
  void each_told(std::uint32_t partition, const std::function<void(const Entry&)>& f) const;

  static std::string device_key(std::string_view tenant, std::string_view device);

 private:
  struct Open {
    Entry entry;
    std::string key;  // tenant NUL id
    base::Instant due = base::kNever;
    // The partition + 1 where it was handed out, always the same; 0: not known, or in several.
    std::uint32_t told_in = 0;
  };
  struct Device {
    std::uint32_t where = 0;  // the partition + 1 of its session; 0: not connected
    bool wanted = false;
    std::vector<Open*> commands;  // in the order of their acceptance
  };
  struct Ended {
    Entry entry;
    std::uint32_t writes = 0;  // that are not committed
  };
  struct Held {
    std::size_t commands = 0;  // without an outcome
    std::size_t bytes = 0;
  };
  struct Waiter {
    Asked asked;
    TermsOf terms_of;
    At at;
    Answered answered;
  };

  Open* find_open(std::string_view tenant, std::string_view id);
  Open* find_told(std::string_view tenant, std::string_view type, std::string_view device);
  void decide(std::string_view key, base::result<std::vector<session::StoredRecord>> found);
  void admit(Waiter& w);
  Refusal limits(const Asked& asked, const Terms& terms) const;
  bool has_room(const Asked& asked) const;
  void hold(const Entry& e);
  void replace_slot(const Open& by, Device& device, At at);
  Device& device_of(const Entry& e);
  void want(const Entry& e, Device& device);
  std::uint64_t new_serial() const;
  void hand_out(Device& device, At at);
  void settle(At at);  // at the end of each call that may have finished a command
  void changed(Open& o, Change change);
  void write(const Open& o);
  void close(Open& o);
  void put_ended(const std::string& key, const Entry& e);
  const Entry* find_ended(std::string_view tenant, std::string_view id) const;
  void note_late(LateResult late);
  void stray(const LateResult& late);
  void looked_up(const LateResult& late, const Entry* stored);
  void take_late(const LateResult& late, Entry e);
  static void answer_as_before(const Waiter& w, const Entry& e);

  LedgerOptions options_;
  Records& records_;
  LedgerPorts& ports_;
  base::StringMap<std::unique_ptr<Open>> open_;
  Held held_;
  base::StringMap<Held> tenants_;  // with open commands
  std::map<std::uint64_t, Open*> serials_;
  base::StringMap<Device> devices_;              // with open commands, or online
  base::StringMap<std::vector<Waiter>> asking_;  // the store, whether the id is known
  std::set<std::pair<base::Instant, Open*>> due_;
  std::vector<std::string> ready_;  // devices whose window has room again
  // Devices that could not take a command, though connected; when they are tried again.
  std::set<std::pair<base::Instant, std::string>> again_;
  LateResults late_;
  // With an outcome that is not committed yet: the store does not know of it.
  base::StringMap<Ended> ended_;
};

}  // namespace berth::platform
