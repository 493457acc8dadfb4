#include "gateway/rest/api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/registry/booleans.h"
#include "gateway/registry/merge.h"
#include "gateway/rest/api_parameters.h"
#include "gateway/rest/cursors.h"
#include "gateway/rest/elsewhere.h"
#include "gateway/rest/export.h"
#include "gateway/rest/scope.h"
#include "gateway/rest/search.h"
#include "gateway/rest/writes.h"
#include "protocol/link/types.h"

namespace berth::gateway::registry {

namespace asio = boost::asio;
namespace json = boost::json;
using admin::problem;
using admin::Request;
using admin::Response;
namespace codes = admin::codes;

namespace {

constexpr const char* kJson = "application/json";
constexpr std::size_t kImportMax = std::size_t{64} << 20;
constexpr std::size_t kListDefault = 100;
constexpr std::size_t kAtOnce = 100;    // records, between two breaths
constexpr std::size_t kShownMax = 100;  // records of a difference
// Somebody else has changed a record meanwhile: what is asked for is made of the new one, so often.
constexpr int kTries = 50;
// Iterations of PBKDF2 that an import spends on passwords that may be unchanged: a minute or two.
constexpr std::int64_t kVerifyBudget = 100'000'000;

const std::map<std::string, Kind> kKinds{{"sites", Kind::site},
                                         {"products", Kind::product},
                                         {"devices", Kind::device},
                                         {"accounts", Kind::account}};

const rest::ListKind& list_of(Kind kind) {
  switch (kind) {
    case Kind::tenant: return rest::lists::kTenants;
    case Kind::site: return rest::lists::kSites;
    case Kind::product: return rest::lists::kProducts;
    case Kind::device: return rest::lists::kDevices;
    case Kind::account: return rest::lists::kAccounts;
  }
  return rest::lists::kTenants;
}

// Of an import that can't go on: its records stand as they are said or as they were, never between.
Response half_done(const admin::ErrorCode& code, const std::string& why, std::size_t written) {
  if (written == 0) return problem(code, why);
  return problem(code,
                 why + "; " + std::to_string(written) +
                     " records are written, the others are as they were: import it again",
                 {{"written", written}});
}

Response not_found() {
  return problem(codes::kNotFound, "no such record");
}

// `changed`: of these, how many are written, `created`: how many of those are new.
Response counted(std::size_t records, std::size_t changed, std::size_t created) {
  const json::object o{{"records", records}, {"changed", changed}, {"created", created}};
  return {200, kJson, json::serialize(o) + "\n", {}};
}

// Of what is stored, the same at every engine; changes with any of it, secrets too.
std::string etag(const std::string& value) {
  char text[24];
  std::snprintf(text, sizeof text, "\"%016llx\"",
                static_cast<unsigned long long>(protocol::link::hash_of(value)));
  return text;
}

Response record(int status, const Key& key, const std::string& value) {
  return {status, kJson, to_json(key, value) + "\n", {{"ETag", etag(value)}}};
}

// Holds the one import that there may be at a time.
class Busy {
 public:
  explicit Busy(bool& flag) : flag_(flag) { flag_ = true; }
  ~Busy() { flag_ = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  bool& flag_;
};

// Which precondition of the request does not hold; null: none.
const char* precondition_fault(const Request& r, const std::string* stored) {
  const std::string match = r.header("if-match");
  if (!match.empty() && stored == nullptr) return "If-Match: there is no such record";
  if (!match.empty() && match != "*" && match != etag(*stored))
    return "If-Match: the record has changed, its ETag is another one";
  if (r.header("if-none-match") == "*" && stored != nullptr)
    return "If-None-Match: it exists already";
  return nullptr;
}

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

RegistryApi::RegistryApi(const Registry& registry, RegistryFeed& feed, Options options)
    : registry_(registry), feed_(feed), options_(std::move(options)) {
  if (feed_.read_only()) options_.why_not = "the registry is a file: change it there";
}

void RegistryApi::add_to(admin::HttpServer& http) {
  const admin::RouteOptions open{.who = admin::For::accounts};
  const auto route = [&](const std::string& target) {
    http.route_at_home(
        target, [this](Request r) { return on_tenants(std::move(r)); }, open);
  };
  const std::string tenant = "/api/v1/tenants/{tenant}";
  route("GET /api/v1/tenants");
  route("GET /api/v1/tenants/");  // as some clients ask
  for (const char* method : {"GET ", "PUT ", "PATCH ", "DELETE "}) {
    route(method + tenant);
    for (const auto& [name, kind] : kKinds) route(method + tenant + "/" + name + "/{name}");
  }
  for (const auto& [name, kind] : kKinds) route("GET " + tenant + "/" + name);
  for (const char* target :
       {"GET /api/v1/registry", "GET /api/v1/registry/export", "POST /api/v1/registry/import",
        "POST /api/v1/registry/restore", "POST /api/v1/registry/accept-loss"})
    http.route_at_home(target, [this](Request r) { return on_registry(std::move(r)); },
                       {.body_max = kImportMax});
}

RegistryApi::Place RegistryApi::place_of(const std::string& path) {
  std::vector<std::string> parts;
  const std::string rest = path.substr(std::string("/api/v1/tenants").size());
  for (std::size_t at = 0; at < rest.size();) {
    const std::size_t end = std::min(rest.find('/', at + 1), rest.size());
    parts.push_back(rest.substr(at + 1, end - at - 1));
    at = end;
  }
  Place p;
  p.found = parts.size() <= 3;
  if (!parts.empty()) p.tenant = parts[0];
  if (parts.size() == 1) p.name = parts[0];
  if (parts.size() < 2) return p;
  const auto kind = kKinds.find(parts[1]);
  p.found = p.found && kind != kKinds.end();
  if (kind != kKinds.end()) p.kind = kind->second;
  if (parts.size() == 3) p.name = parts[2];
  const bool empty = p.tenant.empty() || (parts.size() == 3 && p.name.empty());
  p.found = p.found && !empty;
  return p;
}

RegistryApi::Answer RegistryApi::on_tenants(Request r) {
  const Place place = place_of(r.path);
  if (!place.found) co_return not_found();
  if (!registry_.loaded())
    co_return problem(codes::kUnavailable, "the registry has not been read yet");
  const bool one = !place.name.empty();
  const bool reads = r.method == "GET";
  const std::string* there = one ? registry_.find(place.text()) : nullptr;
  const admin::Right right = reads ? admin::Right::read : admin::Right::change;
  if (auto no = refusal_of(r.caller, right, place.key(), there)) co_return std::move(*no);
  const std::string fault = admin::fault_of(r, parameters_of(r.method, one, place.kind));
  if (!fault.empty()) co_return problem(codes::kInvalid, fault);
  if (!r.parameter("after").empty() && !r.parameter("cursor").empty())
    co_return problem(codes::kInvalid, "after and cursor: one of them");
  if (reads) {
    const std::string bad_search = Search::fault_of(r);
    if (!bad_search.empty()) co_return problem(codes::kInvalid, bad_search);
    if (one) co_return get(place);
    co_return co_await list(place, std::move(r));
  }
  const bool patch = r.method == "PATCH";
  const bool body = patch || r.method == "PUT";
  if (!options_.why_not.empty()) co_return problem(codes::kReadOnly, options_.why_not);
  const bool typed = admin::has_media_type(r, kJson) ||
                     (patch && admin::has_media_type(r, "application/merge-patch+json"));
  if (body && !typed)
    co_return problem(codes::kUnsupportedMediaType, "Content-Type: application/json");
  if (patch && registry_.find(place.text()) == nullptr) co_return not_found();
  if (const char* fault = precondition_fault(r, registry_.find(place.text())))
    co_return problem(codes::kPreconditionFailed, fault);
  if (body) co_return co_await put(place, std::move(r));
  co_return co_await remove(place, std::move(r));
}

RegistryApi::Answer RegistryApi::on_registry(Request r) {
  const std::string what = r.path.substr(std::string("/api/v1/registry").size());
  if (what.empty()) co_return summary();
  const std::string fault = admin::fault_of(r, parameters_of_registry(what));
  if (!fault.empty()) co_return problem(codes::kInvalid, fault);
  if (!registry_.loaded())
    co_return problem(codes::kUnavailable, "the registry has not been read yet");
  const std::string bad_export = fault_of_export(r);
  if (!bad_export.empty()) co_return problem(codes::kInvalid, bad_export);
  if (what == "/export" && wants_csv(r)) co_return co_await export_csv(registry_, std::move(r));
  if (what == "/export") co_return co_await export_all(std::move(r));
  if (what == "/accept-loss") co_return co_await accept_loss();
  if (!options_.why_not.empty()) co_return problem(codes::kReadOnly, options_.why_not);
  if (what == "/restore") co_return co_await restore();
  co_return co_await import(std::move(r));
}

Response RegistryApi::summary() const {
  json::object o{{"loaded", registry_.loaded()},
                 {"reachable", feed_.reachable()},
                 {"writable", options_.why_not.empty()},
                 {"tenants", registry_.count(Kind::tenant)}};
  const auto doubt = options_.guard != nullptr ? options_.guard->doubt() : std::nullopt;
  if (doubt) o["missing_in_store"] = doubt->missing.size();
  for (const auto& [name, kind] : kKinds) o[name] = registry_.count(kind);
  return {200, kJson, json::serialize(o) + "\n", {}};
}

// YAML that an import reads: each record is a line of JSON, so that two of them can be compared.
RegistryApi::Answer RegistryApi::export_all(Request r) const {
  const Secrets secrets = admin::flag(r, "secrets") ? Secrets::shown : Secrets::left_out;
  std::string body = "tenants:\n";
  std::vector<std::string> tenants;
  const auto take_tenant = [&](const std::string& key, const std::string&) {
    tenants.push_back(key);
    return true;
  };
  std::string all = "t/";
  std::string from;
  co_await each(std::move(all), std::move(from), take_tenant);
  if (tenants.empty()) body = "tenants: []\n";
  for (const std::string& key : tenants) {
    const std::string* value = registry_.find(key);
    if (value == nullptr) continue;  // removed meanwhile
    const std::string tenant(parse_key(key).tenant);
    std::string line = to_json(parse_key(key), *value, secrets);
    body += "- {" + line.substr(1, line.size() - 2);
    for (const auto& [name, kind] : kKinds) {
      body += ",\n  \"" + name + "\": [";
      bool first = true;
      const auto take = [&](const std::string& k, const std::string& v) {
        body += std::string(std::exchange(first, false) ? "" : ",") + "\n    " +
                to_json(parse_key(k), v, secrets);
        return true;
      };
      std::string prefix = key_of(kind, tenant);
      std::string after;
      co_await each(std::move(prefix), std::move(after), take);
      body += "]";
    }
    body += "}\n";
  }
  co_return Response{200, "application/yaml", std::move(body), {}};
}

// A loss of records that the guard does not believe in is what the operator wants.
RegistryApi::Answer RegistryApi::accept_loss() {
  const auto doubt = options_.guard != nullptr ? options_.guard->doubt() : std::nullopt;
  if (!doubt) co_return problem(codes::kNothingMissing, "no record is missing in the registry");
  options_.guard->accept_loss();
  feed_.when_fresh([] {});
  const json::object o{{"removed", doubt->missing.size()}};
  co_return Response{200, kJson, json::serialize(o) + "\n", {}};
}

// Can this record be without one that is not there?
bool RegistryApi::is_orphan(const std::string& key, const std::string& value) const {
  const Key k = parse_key(key);
  const auto there = [&](Kind kind, const std::string& name) {
    return registry_.find(key_of(kind, k.tenant, name)) != nullptr;
  };
  if (k.kind == Kind::tenant) return false;
  if (!there(Kind::tenant, {})) return true;
  pb::Device d;
  if (k.kind != Kind::device || !d.ParseFromString(value)) return false;
  return !there(Kind::site, d.site()) ||
         (!d.product().empty() && !there(Kind::product, d.product()));
}

// Writes what is missing into the store again, as it was known last; but no device whose tenant or
// site has been removed.
RegistryApi::Answer RegistryApi::restore() {
  const auto doubt = options_.guard != nullptr ? options_.guard->doubt() : std::nullopt;
  if (!doubt) co_return problem(codes::kNothingMissing, "no record is missing in the registry");
  std::vector<Write> writes;
  for (const std::string& key : doubt->missing) {
    const std::string* value = registry_.find(key);
    if (value != nullptr && !is_orphan(key, *value)) writes.push_back({key, *value, ""});
  }
  const Response good = counted(writes.size(), writes.size(), writes.size());
  bool overtaken = false;
  co_return co_await commit(std::move(writes), good, overtaken);
}

// Some at a time, with a breath between: `f` returns false when it has enough.
template <class F>
asio::awaitable<void> RegistryApi::each(std::string prefix, std::string after, F& f) const {
  for (bool more = true; more;) {
    more = false;
    std::size_t seen = 0;
    registry_.each(prefix, after, [&](const std::string& key, const std::string& value) {
      after = key.substr(prefix.size());
      if (!f(key, value)) return false;
      more = ++seen == kAtOnce;
      return !more;
    });
    if (more) co_await breathe();
  }
}

// {"items":[…],"next":"CURSOR"}, without `next` at the end. Records that the caller may not see
// count as much as others: their number costs as much.
RegistryApi::Answer RegistryApi::list(Place place, Request r) const {
  if (place.kind != Kind::tenant && registry_.find(key_of(Kind::tenant, place.tenant)) == nullptr)
    co_return not_found();
  const rest::SealPtr seal = rest::Cursors::local();
  if (seal == nullptr) co_return problem(codes::kUnavailable, "the key of cursors is not read yet");
  const rest::ListKind& kind = list_of(place.kind);
  const std::string cursor = r.parameter(r.parameter("cursor").empty() ? "after" : "cursor");
  std::optional<std::string> from = std::string();
  if (!cursor.empty()) from = seal->open(kind, place.tenant, cursor);
  if (!from) co_return rest::bad_cursor();
  const std::size_t limit = admin::number(r, "limit", kListDefault);
  Search search(r, options_.looks);
  std::string items;
  std::string last;  // that was looked at
  std::size_t count = 0;
  bool more = false;
  const auto take = [&](const std::string& k, const std::string& v) {
    const Key key = parse_key(k);
    more = !search.may_look();
    if (more) return false;
    const bool shown = in_list_of(r.caller, key, v) && search.admits(key, v);
    more = shown && count == limit;
    if (more) return false;
    if (shown && count++ != 0) items.append(",\n");
    if (shown) items.append(to_json(key, v));
    last = key.kind == Kind::tenant ? key.tenant : key.name;
    return true;
  };
  std::string prefix = place.kind == Kind::tenant ? "t/" : key_of(place.kind, place.tenant);
  std::string after = std::move(*from);
  co_await each(std::move(prefix), std::move(after), take);
  std::string body = "{\"items\":[" + items + "]";
  if (more) body += ",\"next\":\"" + seal->close(kind, place.tenant, last) + "\"";
  Response page{200, kJson, body + "}\n", {}};
  page.cut = more && count < limit;
  co_return page;
}

Response RegistryApi::get(const Place& place) const {
  const std::string* value = registry_.find(place.text());
  return value == nullptr ? not_found() : record(200, place.key(), *value);
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
  if (writes.size() > 1 && !recursive)
    co_return problem(codes::kInUse,
                      "'" + writes[0].key.substr(2) + "' needs it; ?recursive=true removes both");
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

RegistryApi::Answer RegistryApi::import(Request r) {
  const bool csv = admin::has_media_type(r, "text/csv");
  if (!csv && !admin::has_media_type(r, "application/yaml"))
    co_return problem(codes::kUnsupportedMediaType, "text/csv or application/yaml");
  if (importing_) co_return problem(codes::kBusy, "another import is under way");
  const Busy busy(importing_);
  std::string why;
  try {
    auto text = std::make_shared<std::string>(std::move(r.body));
    auto parse = [text, csv] {
      std::vector<Said> said = csv ? parse_csv(*text) : parse_yaml(*text);
      text->clear();
      text->shrink_to_fit();
      return said;
    };
    auto work = work_of(true);
    work->options.replace = admin::flag(r, "replace");
    work->said = co_await elsewhere(imports_, std::move(parse));
    Prepared p = co_await prepare(work, imports_);
    if (admin::flag(r, "dry_run")) {
      const std::string conflict = co_await conflict_in(p.writes, &work->said);
      if (!conflict.empty()) co_return problem(codes::kConflict, conflict);
      co_return co_await changes_of(work->said.size(), std::move(p));
    }
    co_return co_await write_import(work, std::move(p.writes));
  } catch (const BadRecord& e) {
    why = e.what();
  }
  co_return problem(codes::kInvalid, why);
}

// What somebody else has changed meanwhile is made anew of what is there then; the rest goes on as
// it was made.
RegistryApi::Answer RegistryApi::write_import(std::shared_ptr<Work> work,
                                              std::vector<Write> writes) {
  std::size_t written = 0;
  std::size_t created = 0;
  std::string why;
  for (int left = kTries; !writes.empty(); --left) {
    const std::string conflict = co_await conflict_in(writes, &work->said);
    if (!conflict.empty()) co_return half_done(codes::kConflict, conflict, written);
    const RegistryFeed::Outcome o = co_await feed_.write(writes);
    written += o.written;
    created += new_among(writes, o.written);
    if (o.what == RegistryFeed::Outcome::done) break;
    if (o.what == RegistryFeed::Outcome::unavailable)
      co_return half_done(codes::kUnavailable, o.why, written);
    if (left <= 1) co_return half_done(codes::kConflict, o.why, written);
    writes.erase(writes.begin(), writes.begin() + static_cast<std::ptrdiff_t>(o.written));
    try {
      co_await make_anew(work, writes);
    } catch (const BadRecord& e) {  // its site is gone, say
      why = e.what();
    }
    if (!why.empty()) co_return half_done(codes::kConflict, why, written);
  }
  Response good = counted(work->said.size(), written, created);
  good.changed = "records:" + std::to_string(written);
  co_return good;
}

// Those of `writes` whose records have changed since they were made.
asio::awaitable<void> RegistryApi::make_anew(std::shared_ptr<Work> work,
                                             std::vector<Write>& writes) {
  std::set<std::string, std::less<>> changed;
  std::vector<Write> left;
  for (Write& w : writes) {
    const std::string* now = registry_.find(w.key);
    const bool same = w.expected.value_or("") == (now != nullptr ? *now : std::string());
    if (same) {
      left.push_back(std::move(w));
    } else {
      changed.insert(w.key);
    }
  }
  work->options.only = &changed;
  Prepared p = co_await prepare(work, imports_);
  work->options.only = nullptr;
  // A record is written behind what it needs: as they stand in the file.
  std::map<std::string, Write, std::less<>> by_key;
  for (Write& w : left) by_key.emplace(w.key, std::move(w));
  for (Write& w : p.writes) by_key.insert_or_assign(w.key, std::move(w));
  writes.clear();
  for (const Said& s : work->said) {
    if (const auto it = by_key.find(s.key); it != by_key.end())
      writes.push_back(std::move(it->second));
  }
}

std::shared_ptr<RegistryApi::Work> RegistryApi::work_of(bool import) const {
  auto work = std::make_shared<Work>();
  work->verify_left = kVerifyBudget;
  work->options.hashing = {options_.iterations, import ? &work->verify_left : nullptr};
  work->options.known_sites = true;
  return work;
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
