// The registry as a whole: its state, export and import, and what has been lost in its store.
#include <boost/json.hpp>
#include <set>

#include "gateway/rest/api_parts.h"
#include "gateway/rest/writes.h"

namespace berth::gateway::registry {

namespace asio = boost::asio;
namespace json = boost::json;
using admin::problem;
using admin::Request;
using admin::Response;
namespace codes = admin::codes;

namespace {

// Of an import that can't go on: its records stand as they are said or as they were, never between.
Response half_done(const admin::ErrorCode& code, const std::string& why, std::size_t written) {
  if (written == 0) return problem(code, why);
  return problem(code,
                 why + "; " + std::to_string(written) +
                     " records are written, the others are as they were: import it again",
                 {{"written", written}});
}

// `changed`: of these, how many are written, `created`: how many of those are new.
Response counted(std::size_t records, std::size_t changed, std::size_t created) {
  const json::object o{{"records", records}, {"changed", changed}, {"created", created}};
  return {200, kJson, json::serialize(o) + "\n", {}};
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

}  // namespace

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

RegistryApi::Answer RegistryApi::import(Request r) {
  const bool csv = admin::has_media_type(r, "text/csv");
  if (!csv && !admin::has_media_type(r, "application/yaml"))
    co_return problem(codes::kUnsupportedMediaType,
                      "text/csv or application/yaml; the only charset that may be named is utf-8");
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

}  // namespace berth::gateway::registry
