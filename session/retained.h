// The retained messages of one tenant, ordered by topic so that a walk can stop and go on
// (MQTT 5.0 section 3.3.1.3). Owned by the Broker; one shard.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "session/message.h"

namespace berth::session {

class Retained {
 public:
  void put(std::string_view topic, MessagePtr m);
  bool remove(std::string_view topic);
  std::size_t size() const { return messages_.size(); }
  std::size_t bytes() const { return bytes_; }
  bool contains(std::string_view topic) const { return messages_.find(topic) != messages_.end(); }

  // The first retained message whose topic matches `filter` and sorts after `after` (empty: from
  // the start). Null at the end. Looks only at topics that share the filter's literal prefix.
  const MessagePtr* next(std::string_view filter, std::string_view after) const;

 private:
  std::map<std::string, MessagePtr, std::less<>> messages_;
  std::size_t bytes_ = 0;
};

}  // namespace berth::session
