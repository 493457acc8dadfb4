// A fault for tests: an engine that dies of one device's input. With BERTH_FAULT_TOPIC set in the
// environment, a PUBLISH to that topic aborts the process, one to "<topic>/hang" never ends;
// everything else is asked of `inner`.
// BERTH_FAULT_FORWARDED: the same of a message that comes from another partition, for
// EngineShard::on_forwarded. Without the variables nothing here is used.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "session/access.h"

namespace berth::gateway::engine {

class FaultPolicy : public session::AccessPolicy {
 public:
  FaultPolicy(std::string topic, std::unique_ptr<session::AccessPolicy> inner)
      : topic_(std::move(topic)), inner_(std::move(inner)) {}
  bool may_publish(const session::Identity& who, std::string_view topic) const override {
    if (topic == topic_) std::abort();
    if (topic == topic_ + "/hang") {
      for (volatile bool forever = true; forever;) {
      }
    }
    return !inner_ || inner_->may_publish(who, topic);
  }
  bool may_subscribe(const session::Identity& who, std::string_view filter) const override {
    return !inner_ || inner_->may_subscribe(who, filter);
  }

 private:
  std::string topic_;
  std::unique_ptr<session::AccessPolicy> inner_;
};

inline std::function<void(std::string_view)> fault_of_forwarded() {
  const char* fatal = std::getenv("BERTH_FAULT_FORWARDED");
  if (fatal == nullptr) return {};
  return [fatal](std::string_view topic) {
    if (topic == fatal) std::abort();
  };
}

}  // namespace berth::gateway::engine
