// Commands at the devices' sessions of this partition: hands them out, and tells their homes what
// has become of them (notes.h). An immediate one goes to a connection that is open now, with QoS 0
// and a deadline that the edge keeps; all others go into the session's queue. Owned by the
// Platform. One shard, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/string_map.h"
#include "platform/command_ways.h"
#include "platform/ledger.h"
#include "platform/notes.h"
#include "platform/records.h"
#include "session/command_words.h"
#include "session/context.h"
#include "session/core.h"
#include "session/session_events.h"

namespace berth::platform {

class Dispatcher final : private session::Room {
 public:
  static constexpr std::size_t kWantedMax = 100'000;  // devices of which homes want to hear

  // All outlive it. `ways` null: no registry, no commands.
  Dispatcher(session::Context& cx, session::Core& core, Records& records, Notes& notes)
      : Room(cx), core_(core), records_(records), notes_(notes) {}
  void use(const CommandWays& ways) { ways_ = &ways; }

  // -- restored
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view value);
  void forget(std::string_view key);

  // -- from homes
  void dispatch(std::uint64_t tag, const Entry& e, base::Instant now);
  void wants(std::uint32_t home, std::string_view tenant, std::string_view device, bool no_more);
  // Also if its CONNACK is still to be sent: no event says when it is.
  bool is_online(std::string_view tenant, std::string_view device) const;
  bool is_ready(std::string_view tenant, std::string_view device) const;  // and has subscribed

  // -- what has happened in the core. `sent`: a message up to this sequence number may have been
  // sent.
  bool has_queued(base::SessionId session) const { return queued_.contains(session.value); }
  bool any_wanted() const { return !wanted_.empty(); }
  // A wanted device has come, gone, or subscribed to something.
  void whereabouts(std::string_view tenant, std::string_view device);
  void finished(base::SessionId session, std::uint64_t seq, session::Finished how, bool sent);
  void ended(base::SessionId session, std::uint64_t sent);

  // -- as session::CommandWords; `edge`: its id
  void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate);
  void pending(std::uint64_t tag);
  void listed(std::uint64_t edge);
  void lost(std::uint64_t edge);
  void gone(std::uint64_t edge);

  // About once a second.
  void tick(base::Instant now);
  std::size_t given() const { return given_.size(); }

 private:
  struct Given {
    std::uint64_t edge = 0;
    std::uint64_t connection = 0;  // ConnId::local()
    base::Instant until;
    // Nobody has said yet that it has reached its edge: the link broke, or the engine is new.
    bool in_doubt = false;
  };
  // A session's queue entry that is a command's.
  using Queued = std::map<std::uint64_t, std::uint64_t>;  // seq -> tag

  void say(std::uint64_t tag, Fate fate, std::string_view code);
  void give(std::uint64_t tag, const Entry& e, base::Instant now);
  void send(std::uint64_t tag, const Entry& e, base::Instant now);
  void told_written(base::ConnId conn, std::uint64_t tag);
  void forget_given(std::uint64_t tag);
  void put_into_queue(std::uint64_t tag, const Entry& e, base::Instant now);
  bool render(const Entry& e, base::Instant now, Rendered& out) const;
  // The session of the device that is to get what is published to `topic`; null: none, and why.
  session::Session* receiver(const Entry& e, std::string_view topic, bool live, const char*& why);
  void unqueue(std::uint64_t session, std::uint64_t seq, Fate fate, std::string_view code);

  session::Core& core_;
  Records& records_;
  Notes& notes_;
  const CommandWays* ways_ = nullptr;
  // By tag. Each is a live record too, from the batch that decides where the command goes to the
  // one that has its fate: so an engine after us knows to which connection the command was given,
  // and that connection's edge knows whether it has come.
  std::map<std::uint64_t, Given> given_;
  std::map<std::uint64_t, Queued> queued_;           // by session
  base::StringMap<std::set<std::uint32_t>> wanted_;  // homes, by device_key()
  // Wanted devices that are connected and have no CONNACK yet, or have subscribed to nothing.
  std::set<std::pair<std::string, std::string>> unready_;
};

}  // namespace berth::platform
