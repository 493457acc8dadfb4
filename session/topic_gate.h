// Which topics and filters a client may use, and as what they are kept inside: by the Scope of who
// is registered, else by the rules of files (AccessPolicy). One shard, one thread.
#pragma once

#include <string>
#include <string_view>

#include "protocol/mqtt/types.h"
#include "session/access.h"
#include "session/context.h"
#include "session/scope.h"
#include "session/session.h"

namespace berth::session {

class TopicGate final : private Room {
 public:
  TopicGate(Context& cx, const AccessPolicy* access) : Room(cx), access_(access) {}

  const AccessPolicy* access() const { return access_; }  // null: everything is allowed
  // An operator would take messages away from the services of a shared group.
  static bool may_share(const Scope& scope) { return scope.who().role != Role::operator_; }

  // Null: everything is allowed. Outlives the core.
  void use_access(const AccessPolicy* access);
  Identity identity_of(const Channel& ch) const;
  // False: the client may not publish there. `inside`: the topic as it is kept; `topic` itself, or
  // good until the next call.
  bool enter_topic(Channel& ch, std::string_view topic, std::string_view& inside);
  // `raw`: the filter as it is kept, "$share/group/" included.
  protocol::mqtt::Reason enter_filter(Channel& ch, std::string_view wanted, std::string& raw) const;
  // May a CONNECT's will be published? Its topic is as it is inside afterwards.
  bool admit_will(Channel& ch);
  // May a message of this topic still be sent there?
  bool may_hear(const Channel& ch, std::string_view topic);

 private:
  const AccessPolicy* access_;
  std::string entered_;  // a topic as it is inside
};

}  // namespace berth::session
