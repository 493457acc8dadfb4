#include "platform/result_router.h"

#include <algorithm>
#include <string>

#include "base/string_map.h"
#include "platform/command_results.h"
#include "platform/ledger.h"
#include "platform/platform.pb.h"
#include "protocol/link/types.h"

namespace berth::platform {

std::uint32_t home_of(std::string_view tenant, std::string_view device, std::uint32_t partitions) {
  return protocol::link::partition_of("d" + std::string(1, '\0') + joined(tenant, device),
                                      partitions);
}

void ResultRouter::begin(std::uint64_t number, base::Instant now) {
  if (partitions_ == 1) return;
  number_ = number;
  told_.unsure(now.plus_ms(kUnsureMs));
  for (std::uint32_t p = 0; p < partitions_; ++p) silent_.insert(p);
}

// Commands that the home hands out later come behind this note, in the same queue.
void ResultRouter::told(std::uint32_t source, const pb::Told& told, base::Instant now) {
  for (const pb::ToldCommand& c : told.commands())
    told_.add(c.tag(), Ledger::device_key(c.tenant(), c.device()), c.type(), c.id(),
              now.plus_ms(kToldMs));
  if (!told.last() || told.number() != number_) return;
  if (silent_.erase(source) != 0 && silent_.empty()) told_.sure();
}

void ResultRouter::tell_again(const Ledger& ledger, std::uint32_t partition, std::uint64_t number) {
  pb::Note note;
  pb::Told& told = *note.mutable_told();
  told.set_number(number);
  base::StringMap<std::size_t> tenants;
  bool lost = false;
  ledger.each_told(partition, [&](const Entry& e) {
    if (lost || tenants[e.asked.tenant]++ > Told::kMaxOfTenant) return;
    pb::ToldCommand& c = *told.add_commands();
    c.set_tag(tag_of(partition_, e.serial, e.command.attempt));
    c.set_tenant(e.asked.tenant);
    c.set_device(addressee(e.asked));
    c.set_type(e.asked.type);
    c.set_id(e.asked.id);
    if (told.commands_size() < kTellAtOnce) return;
    lost = notes_.tell(partition, note) == 0;
    told.clear_commands();
  });
  if (lost) return;  // that engine waits for kUnsureMs
  told.set_last(true);
  notes_.tell(partition, note);
}

void ResultRouter::dispatched(const pb::Dispatch& d, base::Instant now) {
  if (partitions_ == 1) return;
  const pb::CommandRecord& c = d.command();
  const std::string& device = c.executor().empty() ? c.device() : c.executor();
  told_.add(d.tag(), Ledger::device_key(c.tenant(), device), c.type(), c.id(),
            now.plus_ms(kToldMs));
}

// What was never sent is not answered.
void ResultRouter::word(const pb::Word& w) {
  if (static_cast<Fate>(w.fate()) == Fate::dropped) told_.forget(w.tag());
}

std::vector<std::uint32_t> ResultRouter::homes(std::string_view tenant,
                                               std::string_view device) const {
  std::vector<std::uint32_t> out{home_of(tenant, device, partitions_)};
  if (partitions_ == 1 || ways_ == nullptr) return out;
  ways_->each_target(tenant, device, [&](std::string_view target) {
    const std::uint32_t home = home_of(tenant, target, partitions_);
    if (std::find(out.begin(), out.end(), home) == out.end()) out.push_back(home);
    return out.size() < partitions_;
  });
  return out;
}

bool ResultRouter::result(std::string_view tenant, std::string_view device, std::string_view id,
                          const Result& r, base::Instant now) {
  pb::Note note;
  pb::ResultNote& said = *note.mutable_result();
  said.set_tenant(std::string(tenant));
  said.set_device(std::string(device));
  said.set_command_id(std::string(id));
  said.set_outcome(static_cast<std::uint32_t>(r.outcome));
  said.set_code(r.code);
  said.set_text(r.text);
  said.set_repeated(r.repeated);
  std::vector<std::uint32_t> to = homes(tenant, device);
  const std::string key = Ledger::device_key(tenant, device);
  if (!id.starts_with(kUnnamed)) {
    told_.answered(key, id);
  } else if (to.size() > 1) {
    // Else each of these homes could take it for the one command that it has.
    const auto tag = told_.take(key, id.substr(1), now);
    if (!tag) return false;
    to = {home_of_tag(*tag)};
  }
  said.set_elsewhere(to.size() > 1);
  for (const std::uint32_t home : to) notes_.tell(home, note);
  return true;
}

}  // namespace berth::platform
