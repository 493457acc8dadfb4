#include "gateway/engine/faults.h"

#include <cstdlib>
#include <fstream>
#include <new>
#include <string>
#include <utility>

namespace berth::gateway::engine {
namespace {

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
    if (topic == topic_ + "/memory") ::operator delete(::operator new (std::size_t{1} << 46));
    return !inner_ || inner_->may_publish(who, topic);
  }
  bool may_subscribe(const session::Identity& who, std::string_view filter) const override {
    return !inner_ || inner_->may_subscribe(who, filter);
  }

 private:
  std::string topic_;
  std::unique_ptr<session::AccessPolicy> inner_;
};

}  // namespace

std::unique_ptr<session::AccessPolicy> with_faults(std::unique_ptr<session::AccessPolicy> inner) {
  const char* topic = std::getenv("BERTH_FAULT_TOPIC");
  if (topic == nullptr) return inner;
  return std::make_unique<FaultPolicy>(topic, std::move(inner));
}

base::WallClock::Source fault_of_clock() {
  const char* file = std::getenv("BERTH_FAULT_CLOCK");
  if (file == nullptr) return {};
  return [file] {
    std::int64_t ahead = 0;
    std::ifstream(file) >> ahead;
    base::WallClock::Reading r = base::WallClock::read_kernel();
    r.wall_ms += ahead;
    return r;
  };
}

std::function<void(std::string_view)> fault_of_forwarded() {
  const char* fatal = std::getenv("BERTH_FAULT_FORWARDED");
  if (fatal == nullptr) return {};
  return [fatal](std::string_view topic) {
    if (topic == fatal) std::abort();
  };
}

}  // namespace berth::gateway::engine
