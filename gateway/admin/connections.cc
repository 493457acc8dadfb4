#include "gateway/admin/connections.h"

#include <map>
#include <tuple>

namespace berth::gateway::admin {

// Of the address that has most connections the one that has waited longest.
bool ConnectionTable::make_room() {
  std::map<std::string, std::size_t> of_address;
  for (const ConnectionPtr& c : all_) ++of_address[c->address];
  ConnectionPtr oldest;
  const auto goes_first = [&](const Connection& a, const Connection& b) {
    const std::size_t many = of_address[a.address];
    const std::size_t less = of_address[b.address];
    return many != less ? many > less : a.waits_since < b.waits_since;
  };
  for (const ConnectionPtr& c : all_) {
    if (c->waits && (!oldest || goes_first(*c, *oldest))) oldest = c;
  }
  if (!oldest) return false;
  oldest->stream.close();  // its coroutine ends
  remove(oldest);
  return true;
}

std::size_t ConnectionTable::working() const {
  std::size_t n = 0;
  for (const ConnectionPtr& c : all_) n += c->parked ? 0 : 1;
  return n;
}

bool ConnectionTable::admit(const ConnectionPtr& c) {
  const bool full = working() >= limits_.connections && !make_room();
  if (full && working() >= limits_.connections + limits_.probe_connections) return false;
  c->probes_only = full;
  all_.push_back(c);
  return true;
}

void ConnectionTable::close_all() {
  for (const ConnectionPtr& c : all_) c->stream.close();
  all_.clear();
}

}  // namespace berth::gateway::admin
