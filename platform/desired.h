// Commands of the class DESIRED: a state that a device is to keep, such as a barrier that is held
// open (docs/platform.md, "Desired state"). Of each type and slot the newest counts. All of a
// device's make one document with a version, which is published retained to v1/SITE/DEVICE/desired:
// so the device gets it at each connection, and again whenever it changes. Owned by Commands, at
// the device's home. One shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/string_map.h"
#include "platform/ledger.h"
#include "platform/records.h"

namespace berth::platform {

namespace pb {
class DesiredRecord;
}  // namespace pb

class Desired {
 public:
  static constexpr std::size_t kParts = 32;  // types and slots of a device

  // Publishes the document of the device of `e`, retained, for who is told in its place.
  using Publish = std::function<void(const Entry& e, const std::string& document)>;
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
  // The device is not registered any more.
  void removed(std::string_view tenant, std::string_view device);
  // As JSON; empty: the device has none, or `sees` says no of its site.
  std::string document(std::string_view tenant, std::string_view device,
                       const std::function<bool(const std::string& site)>& sees) const;
  std::size_t devices() const { return all_.size(); }

 private:
  static std::string key_of(std::string_view tenant, std::string_view device);
  pb::DesiredRecord* parse(const std::string& key, pb::DesiredRecord& into) const;
  void keep(const std::string& key, const pb::DesiredRecord& r);
  Records& records_;
  Publish publish_;
  base::StringMap<std::string> all_;  // pb::DesiredRecord, by key
};

}  // namespace berth::platform
