#include "gateway/rest/api.h"

#include <algorithm>
#include <boost/json.hpp>

#include "gateway/rest/api_parameters.h"
#include "gateway/rest/api_parts.h"
#include "gateway/rest/cursors.h"
#include "gateway/rest/export.h"
#include "gateway/rest/scope.h"

namespace berth::gateway::registry {

namespace asio = boost::asio;
namespace json = boost::json;
using admin::problem;
using admin::Request;
using admin::Response;
namespace codes = admin::codes;

namespace {

constexpr std::size_t kImportMax = std::size_t{64} << 20;
constexpr std::size_t kRecordsDefault = 100;

const rest::ListKind& list_of(Kind kind) {
  switch (kind) {
    case Kind::tenant:
      return rest::lists::kTenants;
    case Kind::site:
      return rest::lists::kSites;
    case Kind::product:
      return rest::lists::kProducts;
    case Kind::device:
      return rest::lists::kDevices;
    case Kind::account:
      return rest::lists::kAccounts;
  }
  return rest::lists::kTenants;
}

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
  const std::size_t limit = admin::number(r, "limit", kRecordsDefault);
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

}  // namespace berth::gateway::registry
