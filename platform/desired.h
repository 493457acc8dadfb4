// Commands of the class DESIRED: a state that a device is to keep, such as a barrier that is held
// open (docs/platform.md, "Desired state"). Of each type and slot the newest counts. All of a
// device's make one document with a version, which is published retained to v1/SITE/DEVICE/desired:
// so the device gets it at each connection, and again whenever it changes. Owned by Commands, at
// the device's home. One shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "platform/command_ways.h"
#include "platform/ledger.h"
#include "platform/records.h"

namespace berth::platform {

namespace pb {
class DesiredRecord;
}  // namespace pb

class Desired {
 public:
  static constexpr std::size_t kParts = 32;  // types and slots of a device

  // Publishes a document, retained; an empty one: none is retained any more. `topic`: inside.
  using Publish = std::function<void(const std::string& topic, const std::string& document)>;
  // Outlive it.
  Desired(Records& records, Publish publish) : records_(records), publish_(std::move(publish)) {}

  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view value);
  void forget(std::string_view key);

  bool has_room(const Asked& asked) const;
  // The command is accepted: it is part of the document, in the open batch.
  // REQUIRES: has_room(). `replaced`: the id of the command whose part this one takes; empty: none.
  void set(const Entry& e, std::int64_t wall_ms, std::string& replaced);
  // The device has said that it has done it.
  void reported(const Entry& e);
  // The command is cancelled: its part goes.
  void clear(const Entry& e, std::int64_t wall_ms);
  // Documents of the tenant (empty: of all) from behind `after` on, kReviewed of them: one whose
  // device has another place in the registry now goes there. False: that was the last one.
  static constexpr int kReviewed = 50;
  bool review(std::string_view tenant, std::string& after, const CommandWays& ways);
  // The device is not registered any more: its document goes. The ids of the commands in it.
  std::vector<std::string> removed(std::string_view tenant, std::string_view device);
  // Bytes of pb::DesiredQuestion and pb::DesiredAnswer. Looks at so many documents that the shard
  // is not held up. `wanted`: by what the registry says of the device.
  static constexpr int kLookedAt = 1000;
  static constexpr int kListed = 500;
  using Wanted = std::function<bool(const std::string& device)>;
  std::string list(std::string_view question, const Wanted& wanted) const;
  // f(tenant, device) of those that have a document.
  void each(const std::function<void(std::string_view, std::string_view)>& f) const;
  // As JSON; empty: the device has none, or `sees` says no of its site.
  std::string document(std::string_view tenant, std::string_view device,
                       const std::function<bool(const std::string& site)>& sees) const;
  std::size_t devices() const { return all_.size(); }
  // Of these, those that have not answered all parts.
  std::size_t not_in_step() const { return not_in_step_; }

 private:
  static std::string key_of(std::string_view tenant, std::string_view device);
  pb::DesiredRecord* parse(const std::string& key, pb::DesiredRecord& into) const;
  void keep(const std::string& key, const pb::DesiredRecord& r);
  void put(const std::string& key, std::string value, bool in_step);
  void erase(std::string_view key);
  void publish(const Entry& e, pb::DesiredRecord& r);
  void publish_to(std::string topic, pb::DesiredRecord& r);
  Records& records_;
  Publish publish_;
  struct Kept {
    std::string record;  // pb::DesiredRecord
    bool in_step = false;
  };
  std::map<std::string, Kept, std::less<>> all_;  // by key
  std::size_t not_in_step_ = 0;
};

}  // namespace berth::platform
