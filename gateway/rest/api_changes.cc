// Changes of one record, and what they share with an import: how writes are made, compared and
// committed.
#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "gateway/registry/booleans.h"
#include "gateway/registry/merge.h"
#include "gateway/rest/api_parts.h"
#include "gateway/rest/scope.h"
#include "gateway/rest/writes.h"

namespace berth::gateway::registry {

namespace asio = boost::asio;
namespace json = boost::json;
using admin::problem;
using admin::Request;
using admin::Response;
namespace codes = admin::codes;

namespace {

constexpr std::size_t kShownMax = 100;  // records of a difference
// Iterations of PBKDF2 that an import spends on passwords that may be unchanged: a minute or two.
constexpr std::int64_t kVerifyBudget = 100'000'000;

// An account that is confined to some sites takes no device out of them.
std::optional<Response> new_place_refusal(const Request& r, const Key& key, const Message& said) {
  const std::string now = deterministic(said);
  return refusal_of(r.caller, admin::Right::change, key, &now);
}

void keep_credentials(Kind kind, const std::string& stored, Message& m) {
  const auto old = message_of(kind, stored);
  const auto keep = [&](auto& record) {
    using T = std::remove_reference_t<decltype(record)>;
    *record.mutable_credentials() = static_cast<const T&>(*old).credentials();
  };
  if (kind == Kind::device) keep(static_cast<pb::Device&>(m));
  if (kind == Kind::account) keep(static_cast<pb::Account&>(m));
}

}  // namespace

// A change that somebody else's comes between is made anew, of what is there then: who has not said
// If-Match wants it whatever was there.
template <class F>
RegistryApi::Answer RegistryApi::until_it_fits(const Request& r, F once) {
  const bool conditional = !r.header("if-match").empty() || !r.header("if-none-match").empty();
  for (int left = conditional ? 1 : kTries;; --left) {
    bool overtaken = false;
    Response answer = co_await once(overtaken);
    if (!overtaken || left <= 1) co_return answer;
  }
}

RegistryApi::Answer RegistryApi::put(Place place, Request r) {
  const auto once = [&](bool& overtaken) { return put_once(place, r, overtaken); };
  co_return co_await until_it_fits(r, once);
}

// What it was when it was asked for (If-Match, and secrets that are kept) is what is replaced. PUT
// replaces all but the credentials, which go only where it names them; PATCH what it names.
RegistryApi::Answer RegistryApi::put_once(const Place& place, const Request& r, bool& overtaken) {
  const std::string* stored = registry_.find(place.text());
  if (stored == nullptr && r.method == "PATCH") co_return not_found();
  // Another change may have moved it to a site that the caller does not see.
  if (auto no = refusal_of(r.caller, admin::Right::change, place.key(), stored))
    co_return std::move(*no);
  const std::string seen = stored != nullptr ? *stored : std::string();
  std::string why;
  try {
    auto work = work_of(false);
    std::vector<Said>& said = work->said;
    json::object patch = parse_object(r.body);
    check_booleans(place.kind, patch);
    if (r.method == "PATCH") {
      said.push_back({place.text(), merged(place.kind, seen, patch, false), 0});
    } else {
      said.push_back({place.text(), from_json(place.kind, r.body), 0});
      if (!seen.empty() && !patch.contains("credentials"))
        keep_credentials(place.kind, seen, *said[0].message);
    }
    if (auto no = new_place_refusal(r, place.key(), *said[0].message)) co_return std::move(*no);
    const auto find = [this](const std::string& key) { return registry_.find(key); };
    if (auto no = refusal_of_links(r.caller, place.key(), stored, *said[0].message, find))
      co_return std::move(*no);
    Prepared p = co_await prepare(std::move(work), hashing_);
    const bool dry_run = admin::flag(r, "dry_run");
    if (dry_run) co_return co_await changes_of(1, std::move(p));
    if (p.writes.empty()) co_return record(200, place.key(), seen);
    Response good = record(seen.empty() ? 201 : 200, place.key(), *p.writes[0].value);
    good.changed =
        changed_fields(place.text(), stored != nullptr ? &seen : nullptr, &*p.writes[0].value);
    if (auto no = refusal_of_fields(r.caller, place.key(), good.changed)) co_return std::move(*no);
    co_return co_await commit(std::move(p.writes), std::move(good), overtaken);
  } catch (const BadRecord& e) {
    why = e.what();
  }
  co_return problem(codes::kInvalid, why);
}

RegistryApi::Answer RegistryApi::remove(Place place, Request r) {
  const auto once = [&](bool& overtaken) { return remove_once(place, r, overtaken); };
  co_return co_await until_it_fits(r, once);
}

RegistryApi::Answer RegistryApi::remove_once(const Place& place, const Request& r,
                                             bool& overtaken) {
  const std::string* stored = registry_.find(place.text());
  if (stored == nullptr) co_return not_found();
  if (auto no = refusal_of(r.caller, admin::Right::change, place.key(), stored))
    co_return std::move(*no);
  const std::string confined = confined_to(place);
  if (!confined.empty())
    co_return problem(codes::kInUse,
                      "'" + confined + "' is confined to it: take it out of that account's sites");
  const bool recursive = admin::flag(r, "recursive");
  std::vector<Write> writes = co_await removal_of(place, recursive);
  if (writes.size() > 1 && !recursive) {
    const std::size_t others = writes.size() - 2;
    co_return problem(
        codes::kInUse,
        "'" + writes[0].key.substr(2) + "'" +
            (others == 0 ? " needs it" : " and " + std::to_string(others) + " more need it") +
            "; recursive=true (berth ctl: --recursive) removes all of them");
  }
  if (admin::flag(r, "dry_run")) {
    Prepared p;
    for (const Write& w : writes) {
      if (const std::string* v = registry_.find(w.key)) p.before.emplace(w.key, *v);
    }
    const std::size_t count = writes.size();
    p.writes = std::move(writes);
    co_return co_await changes_of(count, std::move(p));
  }
  Response gone;
  gone.status = 204;
  gone.changed = "records:" + std::to_string(writes.size());
  co_return co_await commit(std::move(writes), std::move(gone), overtaken);
}

// The account that names this site; empty: none. Without it the account would be one of all sites,
// or of one that comes later by the same name.
std::string RegistryApi::confined_to(const Place& place) const {
  std::string found;
  if (place.kind != Kind::site) return found;
  registry_.each(key_of(Kind::account, place.tenant), {},
                 [&](const std::string& key, const std::string& value) {
                   pb::Account a;
                   if (!a.ParseFromString(value)) return true;
                   const auto& sites = a.sites();
                   if (std::find(sites.begin(), sites.end(), place.name) != sites.end())
                     found = key.substr(2);
                   return found.empty();
                 });
  return found;
}

// It and what can't be without it, the innermost first; of these only one where the answer is no.
asio::awaitable<std::vector<Write>> RegistryApi::removal_of(Place place, bool recursive) const {
  std::vector<Write> out;
  const auto uses = [&](const std::string& key, const std::string& value) {
    if (place.kind == Kind::tenant) return true;
    pb::Device d;
    return parse_key(key).kind == Kind::device && d.ParseFromString(value) &&
           (place.kind == Kind::site ? d.site() : d.product()) == place.name;
  };
  const auto take = [&](const std::string& key, const std::string& value) {
    if (!uses(key, value)) return true;
    out.push_back({key, std::nullopt, std::nullopt});
    return recursive;
  };
  std::vector<Kind> inside;
  if (place.kind == Kind::tenant) inside = {Kind::device, Kind::account, Kind::product, Kind::site};
  if (place.kind == Kind::site || place.kind == Kind::product) inside = {Kind::device};
  for (const Kind kind : inside) {
    std::string prefix = key_of(kind, place.tenant);
    std::string after;
    co_await each(std::move(prefix), std::move(after), take);
  }
  const std::string* stored = registry_.find(place.text());
  out.push_back({place.text(), std::nullopt,
                 stored != nullptr ? std::optional(*stored) : std::optional(std::string())});
  co_return out;
}

std::shared_ptr<RegistryApi::Work> RegistryApi::work_of(bool import) const {
  auto work = std::make_shared<Work>();
  work->verify_left = kVerifyBudget;
  work->options.hashing = {options_.iterations, import ? &work->verify_left : nullptr};
  work->options.known_sites = true;
  return work;
}

// On another thread what takes long; what is there already is looked up here first.
asio::awaitable<RegistryApi::Prepared> RegistryApi::prepare(std::shared_ptr<Work> work,
                                                            asio::thread_pool& pool) {
  auto out = std::make_shared<Prepared>();
  const std::vector<Said>& said = work->said;
  const auto take = [&](const std::string& key) {
    const std::string* v = registry_.find(key);
    if (v != nullptr) out->before.emplace(key, *v);
    return v;
  };
  const auto take_places = [&](const Key& key, const pb::Device& d) {
    take(key_of(Kind::site, key.tenant, d.site()));
    take(key_of(Kind::product, key.tenant, d.product()));
    for (const std::string& other : {d.parent(), d.executor()})
      if (!other.empty()) take(key_of(Kind::device, key.tenant, other));
  };
  for (std::size_t i = 0; i < said.size(); ++i) {
    if (i % kAtOnce == kAtOnce - 1) co_await breathe();
    const Said& s = said[i];
    if (work->options.only != nullptr && !work->options.only->contains(s.key)) continue;
    const Key key = parse_key(s.key);
    const std::string* stored = take(s.key);
    take(key_of(Kind::tenant, key.tenant));
    if (key.kind == Kind::account) {
      for (const std::string& site : static_cast<const pb::Account&>(*s.message).sites())
        take(key_of(Kind::site, key.tenant, site));
    }
    if (key.kind != Kind::device) continue;
    take_places(key, static_cast<const pb::Device&>(*s.message));
    pb::Device d;
    if (stored != nullptr && d.ParseFromString(*stored)) take_places(key, d);
  }
  auto write = [work, out] {
    const auto find = [&](std::string_view key) -> const std::string* {
      const auto it = out->before.find(key);
      return it == out->before.end() ? nullptr : &it->second;
    };
    std::vector<Write> writes = to_writes(work->said, find, work->options);
    for (Write& w : writes) {
      const std::string* before = find(w.key);
      w.expected = before != nullptr ? *before : std::string();
    }
    return writes;
  };
  out->writes = co_await elsewhere(pool, std::move(write));
  co_return std::move(*out);
}

// What would be different, of the first hundred records.
asio::awaitable<Response> RegistryApi::changes_of(std::size_t records, Prepared prepared) {
  auto p = std::make_shared<Prepared>(std::move(prepared));
  auto work = [p, records] {
    json::array changes;
    for (std::size_t i = 0; i < p->writes.size() && i < kShownMax; ++i) {
      const Write& w = p->writes[i];
      const auto before = p->before.find(w.key);
      changes.push_back(difference(w.key, before != p->before.end() ? &before->second : nullptr,
                                   w.value ? &*w.value : nullptr));
    }
    const json::object o{{"records", records},
                         {"changed", p->writes.size()},
                         {"created", new_among(p->writes, p->writes.size())},
                         {"changes", std::move(changes)}};
    return Response{200, kJson, json::serialize(o) + "\n", {}};
  };
  co_return co_await elsewhere(hashing_, std::move(work));
}

// Which log-in two would have; empty: none. `said`: what the writes are made of, with lines.
asio::awaitable<std::string> RegistryApi::conflict_in(const std::vector<Write>& writes,
                                                      const std::vector<Said>* said) const {
  std::set<std::string_view> coming;
  for (const Write& w : writes) coming.insert(w.key);
  std::map<std::string, std::string_view> taken;
  std::size_t looked_at = 0;
  for (const Write& w : writes) {
    if (++looked_at % kAtOnce == 0) co_await breathe();
    const Key key = parse_key(w.key);
    if (!w.value || (key.kind != Kind::device && key.kind != Kind::account)) continue;
    const auto m = message_of(key.kind, *w.value);
    const std::string holder = registry_.holder_of(w.key, *m);
    const std::vector<std::string> logins = logins_of(key, *m);
    if (!holder.empty() && !coming.contains(holder))
      co_return place_in(said, w.key) + "'" + w.key.substr(2) + "' has " +
          shared_login(logins, holder, registry_.find(holder)) + " of '" + holder.substr(2) + "'";
    for (const std::string& login : logins) {
      const auto [it, fresh] = taken.try_emplace(login, w.key);
      if (!fresh && it->second != w.key)
        co_return place_in(said, w.key) + "'" + w.key.substr(2) + "' has the credential '" + login +
            "' of '" + std::string(it->second.substr(2)) + "'";
    }
  }
  co_return std::string();
}

RegistryApi::Answer RegistryApi::commit(std::vector<Write> writes, Response good, bool& overtaken) {
  const std::string conflict = co_await conflict_in(writes, nullptr);
  if (!conflict.empty()) co_return problem(codes::kConflict, conflict);
  const RegistryFeed::Outcome o = co_await feed_.write(std::move(writes));
  overtaken = o.what == RegistryFeed::Outcome::unexpected;
  if (o.what == RegistryFeed::Outcome::unexpected) co_return problem(codes::kConflict, o.why);
  if (o.what == RegistryFeed::Outcome::unavailable) co_return problem(codes::kUnavailable, o.why);
  co_return good;
}

}  // namespace berth::gateway::registry
