#include "platform/last_ends.h"

#include <utility>

#include "platform/records.h"

namespace berth::platform {

namespace {

std::string group_of(const TopList::Place& who, const base::Address& from) {
  if (!who.tenant.empty()) return "t" + who.tenant;
  return who.name.empty() ? "a" + from.site().text() : "u" + who.name;
}

// A device and an account may have one name. Anonymous clients of two groups may have one id.
std::string key_of(const std::string& group, const TopList::Place& who) {
  return joined(joined(group, who.is_account ? "a" + who.name : who.name), who.client_id);
}

}  // namespace

bool LastEnds::More::operator()(const Group* a, const Group* b) const {
  if (a->clients.size() != b->clients.size()) return a->clients.size() > b->clients.size();
  const auto last = [](const Group* g) {
    const Client& c = g->clients.back();
    return c.ends[(c.count - 1) % kEach].at_ms;
  };
  if (last(a) != last(b)) return last(a) < last(b);
  return std::less<>()(a, b);
}

void LastEnds::add(const TopList::Place& who, const base::Address& from, End end) {
  std::string name = group_of(who, from);
  std::string key = key_of(name, who);
  auto known = clients_.find(key);
  if (known == clients_.end() && clients_.size() == kClients) make_room();
  Group& group = groups_[name];
  if (!group.clients.empty()) by_size_.erase(&group);  // its order is about to change
  if (known == clients_.end()) {
    Client c;
    c.tenant = who.tenant;
    c.name = who.name;
    c.client_id = who.client_id;
    c.is_account = who.is_account;
    c.group = std::move(name);
    group.clients.push_front(std::move(c));
    clients_.emplace(std::move(key), group.clients.begin());
  } else {
    group.clients.splice(group.clients.begin(), group.clients, known->second);
  }
  Client& c = group.clients.front();
  if (!who.site.empty() &&
      c.site != who.site) {  // who sees the new site is told nothing of the old
    c.site = who.site;
    c.count = 0;
  }
  c.ends[c.count++ % kEach] = std::move(end);
  by_size_.insert(&group);
}

void LastEnds::make_room() {
  Group* const most = *by_size_.begin();
  by_size_.erase(by_size_.begin());
  const Client& c = most->clients.back();
  TopList::Place who;
  who.name = c.name;
  who.client_id = c.client_id;
  who.is_account = c.is_account;
  const std::string name = c.group;
  clients_.erase(key_of(name, who));
  most->clients.pop_back();
  if (most->clients.empty()) {
    groups_.erase(name);
  } else {
    by_size_.insert(most);
  }
}

}  // namespace berth::platform
