#include "platform/locator.h"

#include <string>
#include <utility>
#include <vector>

#include "platform/platform.pb.h"

namespace berth::platform {

void Locator::find(std::string_view tenant, const Part& part, std::string_view id,
                   base::Instant now, Found found) {
  if (partitions_ == 1 || questions_.size() >= kMax) return found({});
  const std::uint64_t number = next_++;
  questions_.emplace(number, Question{partitions_ - 1, now.plus_ms(kWaitMs), std::move(found)});
  pb::Note note;
  note.mutable_locate()->set_number(number);
  note.mutable_locate()->set_tenant(std::string(tenant));
  note.mutable_locate()->set_device(part.executor);
  note.mutable_locate()->set_child(part.child);
  note.mutable_locate()->set_command_id(std::string(id));
  for (std::uint32_t p = 0; p < partitions_; ++p) {
    if (p != partition_) notes_.tell(p, note);
  }
}

void Locator::answered(std::uint64_t number, std::uint32_t source, bool online, bool busy) {
  const auto it = questions_.find(number);
  if (it == questions_.end()) return;
  busy = it->second.busy = it->second.busy || busy;
  if (!online && --it->second.missing != 0) return;
  const Found found = std::move(it->second.found);
  questions_.erase(it);
  found({online ? source + 1 : 0, busy});
}

void Locator::expire(base::Instant now) {
  std::vector<Found> late;
  while (!questions_.empty() && questions_.begin()->second.until <= now) {
    late.push_back(std::move(questions_.begin()->second.found));
    questions_.erase(questions_.begin());
  }
  for (const Found& found : late) found({});
}

}  // namespace berth::platform
