// A World with registered devices and accounts.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/support/world.h"

namespace berth::test {

// Users are "tenant/role/name", role d, s or o; "acme/s/x" is a service of all sites.
class Book : public session::Principals {
 public:
  session::AuthResult login(const session::AuthRequest& r) const {
    if (r.user_name.empty()) return {};
    const std::size_t a = r.user_name.find('/');
    const char role = r.user_name[a + 1];
    session::Principal who{r.user_name.substr(0, a),
                           role == 'd'   ? session::Role::device
                           : role == 's' ? session::Role::service
                                         : session::Role::operator_,
                           r.user_name.substr(a + 3)};
    session::ScopePtr scope = scope_of(who);
    return {scope ? protocol::mqtt::Reason::success : protocol::mqtt::Reason::not_authorized,
            scope};
  }
  session::ScopePtr scope_of(const session::Principal& who) const override {
    if (gone.contains(who.key()) || disabled.contains(who.key())) return nullptr;
    const bool device = who.role == session::Role::device;
    const auto site = sites.find(who.key());
    std::vector<std::string> allowed;
    if (device) allowed.push_back("device/" + who.name + "/#");
    if (const auto limits = limited.find(who.key()); limits != limited.end())
      allowed = limits->second;
    return std::make_shared<const session::Scope>(who,
                                                  !device               ? ""
                                                  : site == sites.end() ? "north"
                                                                        : site->second,
                                                  allowed, translation);
  }
  session::Limits limits_of(std::string_view tenant, std::string_view site) const override {
    const auto it = limits.find(std::string(tenant) + "/" + std::string(site));
    return it == limits.end() ? session::Limits{} : it->second;
  }
  bool exists(std::string_view key) const override { return !gone.contains(std::string(key)); }
  session::ScopePtr scope_of_will(const session::Principal& who,
                                  std::string_view site) const override {
    const auto it = sites.find(who.key());
    const std::string now = it == sites.end() ? "north" : it->second;
    return std::make_shared<const session::Scope>(
        who, site.empty() ? now : std::string(site),
        std::vector<std::string>{"device/" + who.name + "/#"}, translation);
  }
  std::string_view tenant_of(std::string_view user) const override {
    return user.substr(0, user.find('/'));
  }
  std::vector<std::string> children_of(const session::Principal& device,
                                       std::size_t most) const override {
    const auto it = children.find(device.key());
    if (it == children.end()) return {};
    return {it->second.begin(),
            it->second.begin() +
                static_cast<std::ptrdiff_t>(std::min(most, it->second.size()))};
  }
  bool keeps_retained(std::string_view topic) const override { return !stale.contains(topic); }

  std::map<std::string, session::Limits> limits;  // by "tenant/site"
  std::set<std::string> gone;
  std::set<std::string> disabled;
  std::set<std::string, std::less<>> stale;  // retained messages that are not kept
  std::map<std::string, std::string> sites;
  std::map<std::string, std::vector<std::string>> limited;
  std::map<std::string, std::vector<std::string>> children;
  session::Translation translation;
};

struct Site {
  explicit Site(int crash_at = -1, session::BrokerOptions options = {}) : w(options, crash_at) {
    w.use_registry(book);
    w.on_login([this](const session::AuthRequest& r) { return book.login(r); });
  }
  void review(const session::Concerned& who = {.everybody = true}) {
    std::vector<base::SessionId> removed;
    w.broker().review_scopes(book, w.broker().concerned(who, removed), w.now());
    w.broker().remove_sessions(removed, w.now());
    w.broker().remove_retained(who.removed_topics, w.now());
    w.run();
  }
  int come(const std::string& user, const std::string& client_id, ConnectOptions o = {}) {
    o.user = user;
    o.client_id = client_id;
    return w.open_connected(o);
  }
  Book book;
  World w;
};

// "topic payload" of each PUBLISH.
inline std::vector<std::string> got(World& w, int c) {
  std::vector<std::string> all;
  for (const Packet& k : take_publishes(w, c)) all.push_back(k.topic() + " " + k.payload(5));
  return all;
}
using Texts = std::vector<std::string>;

// The reason code of the last packet of this type.
inline unsigned answer(World& w, int c, unsigned type, std::size_t at) {
  unsigned code = 0xffff;
  for (const Packet& k : w.packets(c)) {
    if (k.type == type && k.body.size() > at) code = static_cast<unsigned char>(k.body[at]);
  }
  return code;
}
}  // namespace berth::test
