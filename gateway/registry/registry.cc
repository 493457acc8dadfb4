#include "gateway/registry/registry.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "gateway/registry/credential_use.h"
#include "gateway/registry/password_hash.h"
#include "gateway/registry/profile.h"

namespace berth::gateway::registry {

using session::Role;

namespace {

std::uint64_t hash_of_login(std::string_view tenant, std::string_view auth_id) {
  std::size_t h = 1;
  boost::hash_combine(h, std::hash<std::string_view>{}(tenant));
  boost::hash_combine(h, std::hash<std::string_view>{}(auth_id));
  return h;
}
std::uint64_t hash_of_certificate(std::string_view name) {
  std::size_t h = 2;
  boost::hash_combine(h, std::hash<std::string>{}(canonical_certificate(name)));
  return h;
}
std::uint64_t hash_of(std::string_view tenant, const pb::Credential& c) {
  return c.type() == "x509" ? hash_of_certificate(c.certificate())
                            : hash_of_login(tenant, c.auth_id());
}

using Credentials = google::protobuf::RepeatedPtrField<pb::Credential>;
const Credentials& credentials_of(Kind kind, const Message& m) {
  static const Credentials kNone;
  if (kind == Kind::device) return static_cast<const pb::Device&>(m).credentials();
  if (kind == Kind::account) return static_cast<const pb::Account&>(m).credentials();
  return kNone;
}

std::string root_of(std::string_view tenant) {
  return std::string(session::kTenantRoot) + std::string(tenant) + "/";
}

// The beginning of the keys of a device's references.
std::string reference(std::string_view tenant, std::string_view name) {
  return std::string(tenant).append(1, '\0').append(name).append(1, '\0');
}

// Who a record's key and value say he is.
session::Principal principal(const Key& key, const Message& m) {
  Role role = Role::device;
  if (key.kind == Kind::account)
    role =
        static_cast<const pb::Account&>(m).role() == "operator" ? Role::operator_ : Role::service;
  return {std::string(key.tenant), role, std::string(key.name)};
}

}  // namespace

std::vector<std::string> logins_of(const Key& key, const Message& m) {
  std::vector<std::string> out;
  for (const pb::Credential& c : credentials_of(key.kind, m)) {
    out.push_back(c.type() == "x509" ? "certificate " + canonical_certificate(c.certificate())
                                     : c.auth_id() + "@" + std::string(key.tenant));
  }
  return out;
}

bool in_time(const pb::Credential& c, base::Instant now) {
  const std::int64_t s = now.ms / 1000;
  return (!c.has_not_before() || c.not_before().seconds() <= s) &&
         (!c.has_not_after() || s < c.not_after().seconds());
}

session::Concerned Registry::apply(const Changes& changes) {
  session::Concerned who;
  if (changes.whole && !records_.empty()) {
    std::set<std::string_view> there;
    for (const Change& c : changes.list) there.insert(c.key);
    std::vector<std::string> gone;
    for (const auto& [key, value] : records_) {
      if (!there.contains(key)) gone.push_back(key);
    }
    for (const std::string& key : gone) remove(key, who);
  }
  for (const Change& c : changes.list) {
    if (c.value) {
      put(c.key, *c.value, who);
    } else {
      remove(c.key, who);
    }
  }
  loaded_ = true;
  return who;
}

void Registry::put(const std::string& key, const std::string& value, session::Concerned& who) {
  const auto [it, fresh] = records_.try_emplace(key, value);
  if (!fresh && it->second == value) return;
  if (fresh) {
    ++counts_[parse_key(key).kind];
  } else {
    concern(&*it, who);
    concern_moved(&*it, value, who);
    index(&*it, false);
    it->second = value;
  }
  removed_.erase(key);
  index(&*it, true);
}

void Registry::remove(const std::string& key, session::Concerned& who) {
  if (removed_.size() < static_cast<std::size_t>(kRemovedKept)) removed_.insert(key);
  const auto it = records_.find(key);
  if (it == records_.end()) return;
  concern(&*it, who);
  concern_removed(&*it, who);
  index(&*it, false);
  --counts_[parse_key(key).kind];
  records_.erase(it);
}

// As it was: an account that gets another role ends as what it has been.
void Registry::concern(Place p, session::Concerned& who) {
  const Key key = parse_key(p->first);
  const auto m = make_message(key.kind);
  const bool one = key.kind == Kind::device || key.kind == Kind::account;
  if (one && m->ParseFromString(p->second)) {
    who.principals.insert(principal(key, *m).key());
  } else {
    who.tenants.insert(std::string(key.tenant));
  }
}

// Its sessions, and what was retained where only it could be.
void Registry::concern_removed(Place p, session::Concerned& who) const {
  const Key key = parse_key(p->first);
  const auto m = make_message(key.kind);
  if (!m->ParseFromString(p->second)) return;
  switch (key.kind) {
    case Kind::tenant:
      who.removed_tenants.insert(std::string(key.tenant));
      who.removed_topics.push_back(root_of(key.tenant) + "#");
      return;
    case Kind::site:
      who.removed_topics.push_back(root_of(key.tenant) + "v1/" + std::string(key.name) + "/#");
      return;
    case Kind::device:
      for (std::string& t : topics_of(key.tenant, static_cast<const pb::Device&>(*m)))
        who.removed_topics.push_back(std::move(t));
      [[fallthrough]];
    case Kind::account:
      who.removed_principals.insert(principal(key, *m).key());
      return;
    case Kind::product:
      return;
  }
}

// A device that is at another site now: what it retained at the one before.
void Registry::concern_moved(Place p, const std::string& now, session::Concerned& who) const {
  const Key key = parse_key(p->first);
  pb::Device before;
  pb::Device after;
  const bool moved = key.kind == Kind::device && before.ParseFromString(p->second) &&
                     after.ParseFromString(now) && before.site() != after.site();
  if (!moved) return;
  const std::vector<std::string> kept = topics_of(key.tenant, after);
  for (std::string& t : topics_of(key.tenant, before)) {
    if (std::find(kept.begin(), kept.end(), t) == kept.end())
      who.removed_topics.push_back(std::move(t));
  }
}

// Filters, inside, of what is only this device's.
std::vector<std::string> Registry::topics_of(std::string_view tenant, const pb::Device& d) const {
  const std::string root = root_of(tenant);
  std::vector<std::string> out{root + "v1/" + d.site() + "/" + d.name() + "/#"};
  pb::Product p;
  const std::string* stored =
      d.product().empty() ? nullptr : find(key_of(Kind::product, tenant, d.product()));
  if (stored == nullptr || !p.ParseFromString(*stored)) return out;
  for (const std::string& t : p.topics()) {
    if (t.find("%d") != std::string::npos) out.push_back(root + substituted(t, d.name(), d.site()));
  }
  return out;
}

void Registry::index(Place p, bool add) {
  const Key key = parse_key(p->first);
  if (key.kind != Kind::device && key.kind != Kind::account) return;
  const auto m = make_message(key.kind);
  if (!m->ParseFromString(p->second)) return;
  if (key.kind == Kind::device) {
    const auto& d = static_cast<const pb::Device&>(*m);
    index_references(key, d, add);
    std::uint32_t& n = at_sites_[reference(key.tenant, d.site())];
    n += add ? 1 : -1;
    if (n == 0) at_sites_.erase(reference(key.tenant, d.site()));
  }
  for (const pb::Credential& c : credentials_of(key.kind, *m)) {
    const std::uint64_t h = hash_of(key.tenant, c);
    count_cost(c, add);
    if (add) {
      logins_.emplace(h, p);
      continue;
    }
    const auto [begin, end] = logins_.equal_range(h);
    const auto it = std::find_if(begin, end, [p](const auto& e) { return e.second == p; });
    if (it != end) logins_.erase(it);
  }
}

void Registry::index_references(const Key& key, const pb::Device& d, bool add) {
  for (const std::string* name : {&d.executor(), &d.parent()}) {
    if (name->empty()) continue;
    const std::string at = reference(key.tenant, *name) + std::string(key.name);
    if (add) {
      references_.insert(at);
    } else {
      references_.erase(at);
    }
  }
}

void Registry::each_referring(std::string_view tenant, std::string_view name,
                              const std::function<bool(std::string_view device)>& f) const {
  const std::string prefix = reference(tenant, name);
  for (auto it = references_.lower_bound(prefix);
       it != references_.end() && it->starts_with(prefix); ++it) {
    if (!f(std::string_view(*it).substr(prefix.size()))) return;
  }
}

void Registry::count_cost(const pb::Credential& c, bool add) {
  if (c.type() != "password") return;
  std::string why;
  const auto hash = PasswordHash::parse(c.password_hash(), why);
  if (!hash) return;  // of an older release: nobody logs in with it
  if (add) {
    hash_costs_.add(hash->iterations());
  } else {
    hash_costs_.remove(hash->iterations());
  }
}

std::string_view Registry::tenant_of(std::string_view user_name) const {
  const std::size_t at = user_name.rfind('@');
  const std::string_view tenant =
      at == std::string_view::npos ? std::string_view(default_tenant_) : user_name.substr(at + 1);
  if (tenant.empty() || tenant.find('/') != std::string_view::npos) return {};
  return find(key_of(Kind::tenant, tenant)) == nullptr ? std::string_view() : tenant;
}

std::optional<Registry::Login> Registry::find_login(std::string_view user_name) const {
  const std::size_t at = user_name.rfind('@');
  const bool named = at != std::string_view::npos;
  const std::string_view tenant = named ? user_name.substr(at + 1) : default_tenant_;
  const std::string_view auth_id = user_name.substr(0, at);
  if (tenant.empty()) return std::nullopt;
  return login_at(hash_of_login(tenant, auth_id), [&](const Key& k, const pb::Credential& c) {
    return k.tenant == tenant && c.type() != "x509" && c.auth_id() == auth_id;
  });
}

std::string Registry::device_named(std::string_view user_name) const {
  const std::optional<Login> login = find_login(user_name);
  return login && login->who.role == session::Role::device ? login->who.key() : std::string();
}

std::optional<Registry::Login> Registry::find_certificate(std::string_view name,
                                                          std::string_view authorities) const {
  const std::string wanted = canonical_certificate(name);
  return login_at(hash_of_certificate(name), [&](const Key& k, const pb::Credential& c) {
    return c.type() == "x509" && canonical_certificate(c.certificate()) == wanted &&
           may_sign(authorities, k.tenant, c);
  });
}

bool Registry::may_sign(std::string_view authorities, std::string_view tenant,
                        const pb::Credential& c) const {
  constexpr std::size_t kDigest = 32;
  const auto has = [authorities](const std::string& wanted) {
    for (std::size_t at = 0; at + kDigest <= authorities.size(); at += kDigest) {
      if (base::to_hex(authorities.substr(at, kDigest)) == wanted) return true;
    }
    return false;
  };
  if (!c.authority().empty()) return has(c.authority());
  pb::Tenant t;
  const std::string* stored = find(key_of(Kind::tenant, tenant));
  if (stored == nullptr || !t.ParseFromString(*stored)) return false;
  return t.authorities().empty() ||
         std::any_of(t.authorities().begin(), t.authorities().end(), has);
}

std::optional<Registry::Login> Registry::login_at(
    std::uint64_t hash, const std::function<bool(const Key&, const pb::Credential&)>& same) const {
  std::optional<Login> found;
  Place holder = nullptr;
  const auto [begin, end] = logins_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const Key key = parse_key(it->second->first);
    const auto m = make_message(key.kind);
    if (!m->ParseFromString(it->second->second)) continue;
    for (const pb::Credential& c : credentials_of(key.kind, *m)) {
      if (!same(key, c)) continue;
      if (holder != nullptr && holder != it->second) return std::nullopt;
      holder = it->second;
      found = Login{key.kind == Kind::device
                        ? device_scope(key.tenant, static_cast<const pb::Device&>(*m))
                        : account_scope(key.tenant, static_cast<const pb::Account&>(*m)),
                    c, principal(key, *m)};
    }
  }
  return found;
}

const std::string* Registry::find(std::string_view key) const {
  const auto it = records_.find(key);
  return it == records_.end() ? nullptr : &it->second;
}

std::uint32_t Registry::devices_at(std::string_view tenant, std::string_view site) const {
  const auto it = at_sites_.find(reference(tenant, site));
  return it == at_sites_.end() ? 0 : it->second;
}

std::size_t Registry::count(Kind kind) const {
  const auto it = counts_.find(kind);
  return it == counts_.end() ? 0 : it->second;
}

void Registry::each(
    std::string_view prefix, std::string_view after,
    const std::function<bool(const std::string& key, const std::string& value)>& f) const {
  const std::string from = std::string(prefix).append(after);
  for (auto it = after.empty() ? records_.lower_bound(from) : records_.upper_bound(from);
       it != records_.end() && it->first.starts_with(prefix); ++it) {
    if (!f(it->first, it->second)) return;
  }
}

std::string Registry::holder_of(std::string_view key, const Message& m) const {
  const Key mine = parse_key(key);
  for (const pb::Credential& c : credentials_of(mine.kind, m)) {
    const auto [begin, end] = logins_.equal_range(hash_of(mine.tenant, c));
    for (auto it = begin; it != end; ++it) {
      if (it->second->first != key) return it->second->first;
    }
  }
  return {};
}

// -- what follows for connections

bool Registry::place_enabled(std::string_view tenant, std::string_view site) const {
  pb::Tenant t;
  const std::string* stored = find(key_of(Kind::tenant, tenant));
  if (stored == nullptr || !t.ParseFromString(*stored) || !enabled(t)) return false;
  if (site.empty()) return true;
  pb::Site s;
  stored = find(key_of(Kind::site, tenant, site));
  return stored != nullptr && s.ParseFromString(*stored) && enabled(s);
}

session::Format Registry::format_of(std::string_view tenant) const {
  pb::Tenant t;
  const std::string* stored = find(key_of(Kind::tenant, tenant));
  if (stored == nullptr || !t.ParseFromString(*stored)) return session::Format::as_is;
  return t.envelopes() == "json"       ? session::Format::json
         : t.envelopes() == "protobuf" ? session::Format::protobuf
                                       : session::Format::as_is;
}

session::ScopePtr Registry::device_scope(std::string_view tenant, const pb::Device& d) const {
  if (!enabled(d) || !place_enabled(tenant, d.site())) return nullptr;
  std::vector<std::string> allowed;
  pb::Product p;
  if (!d.product().empty()) {
    const std::string* stored = find(key_of(Kind::product, tenant, d.product()));
    if (stored == nullptr || !p.ParseFromString(*stored)) return nullptr;
    for (const std::string& t : p.topics()) allowed.push_back(substituted(t, d.name(), d.site()));
  }
  session::Translation translation{format_of(tenant), {}};
  if (translates(p)) translation.product = d.product();
  return std::make_shared<const session::Scope>(
      session::Principal{std::string(tenant), Role::device, d.name()}, d.site(), std::move(allowed),
      std::move(translation));
}

// A disabled device's will is said as before; one that is not registered any more has no product.
std::vector<std::string> Registry::children_of(const session::Principal& device,
                                               std::size_t most) const {
  std::vector<std::string> out;
  std::size_t looked = 0;
  each_referring(device.tenant, device.name, [&](std::string_view name) {
    const std::string* stored = find(key_of(Kind::device, device.tenant, name));
    pb::Device d;
    if (stored != nullptr && d.ParseFromString(*stored) && d.parent() == device.name)
      out.emplace_back(name);
    return out.size() < most && ++looked < 2 * most;
  });
  return out;
}

session::ScopePtr Registry::scope_of_will(const session::Principal& who,
                                          std::string_view site) const {
  if (find(key_of(Kind::tenant, who.tenant)) == nullptr) return nullptr;
  session::Translation translation{format_of(who.tenant), {}};
  std::string at(site);
  std::vector<std::string> allowed;
  pb::Device d;
  pb::Product p;
  const std::string* stored = find(key_of(Kind::device, who.tenant, who.name));
  if (who.role == Role::device && stored != nullptr && d.ParseFromString(*stored)) {
    if (at.empty()) at = d.site();
    stored = d.product().empty() ? nullptr : find(key_of(Kind::product, who.tenant, d.product()));
    if (stored != nullptr && p.ParseFromString(*stored)) {
      for (const std::string& t : p.topics()) allowed.push_back(substituted(t, d.name(), at));
      if (translates(p)) translation.product = d.product();
    }
  }
  return std::make_shared<const session::Scope>(who, std::move(at), std::move(allowed),
                                                std::move(translation));
}

// A registry that remembers fewer removals than there were keeps too much; a restart of an engine
// at the moment of a removal is rare.
bool Registry::keeps_retained(std::string_view topic) const {
  if (!topic.starts_with(session::kTenantRoot)) return true;
  topic.remove_prefix(session::kTenantRoot.size());
  const auto level = [&topic] {
    const std::size_t end = std::min(topic.find('/'), topic.size());
    const std::string_view first = topic.substr(0, end);
    topic.remove_prefix(std::min(end + 1, topic.size()));
    return first;
  };
  const std::string_view tenant = level();
  if (find(key_of(Kind::tenant, tenant)) == nullptr) return false;
  if (level() != "v1") return true;
  const std::string_view site = level();
  const std::string_view name = level();
  if (removed_.contains(key_of(Kind::site, tenant, site))) return false;
  const std::string key = key_of(Kind::device, tenant, name);
  if (removed_.contains(key)) return false;
  pb::Device d;
  const std::string* stored = find(key);
  return stored == nullptr || !d.ParseFromString(*stored) || d.site() == site;
}

session::ScopePtr Registry::account_scope(std::string_view tenant, const pb::Account& a) const {
  if (!enabled(a) || !place_enabled(tenant, {})) return nullptr;
  return std::make_shared<const session::Scope>(
      session::Principal{std::string(tenant),
                         a.role() == "operator" ? Role::operator_ : Role::service, a.name()},
      std::string(), std::vector<std::string>(a.sites().begin(), a.sites().end()));
}

session::ScopePtr Registry::scope_of(const session::Principal& who) const {
  if (who.role == Role::device) {
    pb::Device d;
    const std::string* stored = find(key_of(Kind::device, who.tenant, who.name));
    return stored != nullptr && d.ParseFromString(*stored) ? device_scope(who.tenant, d) : nullptr;
  }
  pb::Account a;
  const std::string* stored = find(key_of(Kind::account, who.tenant, who.name));
  if (stored == nullptr || !a.ParseFromString(*stored)) return nullptr;
  auto scope = account_scope(who.tenant, a);
  return scope && scope->who() == who ? scope : nullptr;
}

std::string Registry::why_ended(const session::Principal& who) const {
  pb::Tenant t;
  const std::string* stored = find(key_of(Kind::tenant, who.tenant));
  if (stored == nullptr || !t.ParseFromString(*stored)) return "its tenant is removed";
  if (!enabled(t)) return "its tenant is disabled";
  if (who.role != Role::device) {
    pb::Account a;
    stored = find(key_of(Kind::account, who.tenant, who.name));
    if (stored == nullptr || !a.ParseFromString(*stored)) return "the account is removed";
    return enabled(a) ? "the account has another role now" : "the account is disabled";
  }
  pb::Device d;
  stored = find(key_of(Kind::device, who.tenant, who.name));
  if (stored == nullptr || !d.ParseFromString(*stored)) return "the device is removed";
  if (!enabled(d)) return "the device is disabled";
  if (!place_enabled(who.tenant, d.site())) return "its site is disabled or removed";
  return "its product is not in the registry";
}

base::Instant Registry::credential_until(const session::Principal& who,
                                         std::string_view credential) const {
  const Kind kind = who.role == Role::device ? Kind::device : Kind::account;
  const std::string* stored = find(key_of(kind, who.tenant, who.name));
  if (stored == nullptr) return {};
  const CredentialUse use = parse_credential_use(credential);
  const auto until = [&](const auto& credentials) -> base::Instant {
    for (const pb::Credential& c : credentials) {
      if (credential_id(c) != use.id) continue;
      if (!use.authorities.empty() && !may_sign(use.authorities, who.tenant, c)) continue;
      return c.has_not_after() ? base::Instant{c.not_after().seconds() * 1000} : base::kNever;
    }
    return {};
  };
  pb::Device d;
  if (kind == Kind::device)
    return d.ParseFromString(*stored) ? until(d.credentials()) : base::Instant{};
  pb::Account a;
  return a.ParseFromString(*stored) ? until(a.credentials()) : base::Instant{};
}

session::Limits Registry::limits_of(std::string_view tenant, std::string_view site) const {
  pb::Limits l;
  const std::string* stored =
      find(site.empty() ? key_of(Kind::tenant, tenant) : key_of(Kind::site, tenant, site));
  if (stored == nullptr) return {};
  if (site.empty()) {
    pb::Tenant t;
    if (t.ParseFromString(*stored)) l = t.limits();
  } else {
    pb::Site s;
    if (s.ParseFromString(*stored)) l = s.limits();
  }
  return {.connections = l.connections(),
          .sessions = l.sessions(),
          .queue_bytes = l.queue_bytes(),
          .connects_per_s = l.connects_per_s(),
          .messages_per_s = l.messages_per_s(),
          .bytes_per_s = l.bytes_per_s(),
          .commands_per_s = l.commands_per_s(),
          .retained_messages = l.retained_messages()};
}

bool Registry::exists(std::string_view principal_key) const {
  const std::size_t end = principal_key.find('\0');
  if (end == std::string_view::npos || principal_key.size() < end + 3) return false;
  const std::string_view tenant = principal_key.substr(0, end);
  const char role = principal_key[end + 1];
  const std::string_view name = principal_key.substr(end + 2, principal_key.size() - end - 3);
  const Kind kind = role == '0' ? Kind::device : Kind::account;
  return find(key_of(kind, tenant, name)) != nullptr &&
         find(key_of(Kind::tenant, tenant)) != nullptr;
}

std::string credential_id(const pb::Credential& c) {
  return c.type() == "x509" ? "certificate " + c.certificate() : "name " + c.auth_id();
}

}  // namespace berth::gateway::registry
