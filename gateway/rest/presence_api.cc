#include "gateway/rest/presence_api.h"

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/rest/device_questions.h"
#include "gateway/rest/times.h"
#include "gateway/rest/unanswered.h"
#include "platform/causes.h"
#include "platform/presence.pb.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;
using admin::Request;
using admin::Responder;
using protocol::link::AskError;
using protocol::link::AskKind;

namespace {

// Of one question: with the devices that they are behind it has 64 KiB at most.
constexpr std::uint32_t kNamesAtOnce = 450;
constexpr int kLooks = 10;  // questions for names, of one request
constexpr std::uint32_t kOnline = 1;

}  // namespace

struct PresenceApi::Page {
  struct Device {
    std::string name, site, product;
    pb::PresenceAnswer::Device said;  // of the partition that counts
    std::size_t partition = 0;
    bool known = false;
    std::string firmware = {};  // as registered, as the next one
    std::string display_name = {};
    std::string parent = {};    // the device that it is behind, or that carries out its commands
    bool is_executor = false;   // `parent` is
    bool elsewhere = false;     // `parent` is at a site that was not asked for
    bool is_parents = false;    // what is said
    const std::string& asked() const { return is_parents ? parent : name; }
  };
  Responder done;
  pb::DevicesQuestion names;
  std::string online;  // "", "true", "false"
  std::int64_t since_ms = 0;
  std::size_t limit = kListDefault;
  bool single = false;
  int looks = 0;
  bool more = false;
  std::vector<Device> found;  // of the last question
  // Places in `found` of those that are behind another one, which is asked for too.
  std::vector<std::size_t> behind;
  std::vector<Device> page;
  SealPtr seal;

  void take(std::size_t partition, const link::Answer& a) {
    pb::PresenceAnswer said;
    if (!said.ParseFromString(a.bytes)) return;
    for (const auto& d : said.devices()) {
      const std::size_t at = d.index();
      const bool own = at < found.size();
      if (!own && at - found.size() >= behind.size()) continue;
      Device& f = found[own ? at : behind[at - found.size()]];
      // A connection counts more than none, and of two the device's own one.
      const auto rank = [](const pb::PresenceAnswer::Device& x, bool its_own) {
        return std::tuple(x.connected(), x.connected() && its_own, x.epoch());
      };
      if (f.known && rank(d, own) <= rank(f.said, !f.is_parents)) continue;
      f.said = d;
      f.partition = partition;
      f.known = true;
      f.is_parents = !own;
    }
  }
  void take_names(const pb::DevicesAnswer& said) {
    found.clear();
    for (const auto& d : said.devices()) {
      const bool executor = d.parent().empty();
      const std::string& over = executor ? d.executor() : d.parent();
      found.push_back({d.name(),
                       d.site(),
                       d.product(),
                       {},
                       0,
                       false,
                       d.firmware(),
                       d.display_name(),
                       over,
                       executor,
                       d.elsewhere()});
    }
  }
  // True: there is another device behind a full page. A full page alone tells of none, for the
  // rest of the tenant's devices may be hidden.
  bool fill() {
    for (const Device& d : found) {
      if (!wants(d)) continue;
      if (page.size() < limit) {
        page.push_back(d);
        continue;
      }
      more = true;
      names.set_after(page.back().name);
      return true;
    }
    return false;
  }
  bool wants(const Device& d) const {
    const bool is_online = d.known && d.said.state() == kOnline;
    if (!online.empty() && is_online != (online == "true")) return false;
    return since_ms == 0 || (d.known && d.said.since_ms() >= since_ms);
  }
  static json::object json_of(const std::string& tenant, const Device& d) {
    json::object o{{"tenant", tenant}, {"site", d.site}, {"device", d.name}};
    if (!d.display_name.empty()) o["display_name"] = d.display_name;
    if (!d.product.empty()) o["product"] = d.product;
    if (!d.parent.empty()) o[d.is_executor ? "executor" : "parent"] = d.parent;
    const std::string reported = d.is_parents ? std::string() : d.said.record().firmware();
    const std::string& firmware = reported.empty() ? d.firmware : reported;
    if (!firmware.empty()) o["firmware"] = firmware;
    o["state"] = !d.known ? "never" : d.said.state() == kOnline ? "online" : "offline";
    if (!d.known) return o;
    if (d.said.stale()) o["stale"] = true;
    o["since"] = text_of_time(d.said.since_ms());
    o["epoch"] = std::to_string(d.said.epoch());
    const pb::PresenceRecord& r = d.said.record();
    const bool hidden = d.is_parents && d.elsewhere;  // the caller may not see that site
    if (!r.client_id().empty() && !hidden) o["client_id"] = r.client_id();
    if (!r.address().empty() && !hidden) o["address"] = r.address();
    if (!r.protocol().empty()) o["protocol"] = r.protocol();
    if (d.said.connected()) return o;
    if (r.left_ms() != 0) o["last_seen"] = text_of_time(r.left_ms());
    if (r.cause() != 0 && r.cause() < platform::kCauses)
      o["cause"] = platform::name_of(static_cast<platform::Cause>(r.cause()));
    return o;
  }
  void answer() const {
    if (single) {
      if (page.empty())
        return done.answer(admin::problem(admin::codes::kNotFound, "no such device"));
      return done.answer(as_json(json_of(names.tenant(), page.front())));
    }
    json::array items;
    for (const Device& d : page) items.push_back(json_of(names.tenant(), d));
    json::object o{{"items", std::move(items)}};
    if (more) o["next"] = seal->close(lists::kPresence, names.tenant(), names.after());
    admin::Response r = as_json(o);
    r.cut = more && page.size() < limit;
    done.answer(r);
  }
};

void PresenceApi::add_to(admin::HttpServer& http) {
  const admin::RouteOptions options{.who = admin::For::accounts, .body_max = 1024};
  http.route_waiting(
      "GET /api/v1/presence", [this](const Request& r, const Responder& d) { list(r, d); }, options);
  http.route_waiting(
      "GET /api/v1/tenants/{tenant}/devices/{device}/presence",
      [this](const Request& r, const Responder& d) { one(r, d); }, options);
}

void PresenceApi::list(const Request& r, const Responder& done) const {
  using admin::Parameter;
  static const admin::Parameters kKnown{{"tenant", {}},
                                        {"site", {}},
                                        {"product", {}},
                                        {"q", {}},
                                        {"online", {Parameter::Kind::flag, 0}},
                                        {"since", {}},
                                        {"cursor", {}},
                                        {"limit", {Parameter::Kind::number, kListMax}}};
  if (auto no = refusal_of_list(r, kKnown)) return done.answer(*no);
  auto page = std::make_shared<Page>(Page{.done = done});
  page->names.set_tenant(tenant_of(r));
  add_sites(r, page->names);
  page->names.set_product(r.parameter("product"));
  page->names.set_q(r.parameter("q"));
  page->limit = admin::number(r, "limit", kListDefault);
  if (!r.parameter("online").empty()) page->online = admin::flag(r, "online") ? "true" : "false";
  if (const std::string fault = read_time(r, "since", page->since_ms); !fault.empty())
    return done.answer(invalid(fault));
  begin(page, r.parameter("cursor"));
}

void PresenceApi::begin(const std::shared_ptr<Page>& page, const std::string& cursor) const {
  cursors_.get([this, page, cursor](SealPtr seal) {
    if (seal == nullptr) return page->done.answer(unanswered(AskError::not_serving));
    page->seal = std::move(seal);
    if (!cursor.empty()) {
      const auto after = page->seal->open(lists::kPresence, page->names.tenant(), cursor);
      if (!after) return page->done.answer(bad_cursor());
      page->names.set_after(*after);
    }
    next_devices(page);
  });
}

void PresenceApi::one(const Request& r, const Responder& done) const {
  if (const std::string fault = admin::fault_of(r, {}); !fault.empty())
    return done.answer(invalid(fault));
  auto page = std::make_shared<Page>(Page{.done = done});
  page->single = true;
  page->limit = 1;
  page->names.set_tenant(r.capture("tenant"));
  const std::string device = r.capture("device");
  if (auto no = admin::refusal_of(r.caller, admin::Right::read, page->names.tenant()))
    return done.answer(*no);
  for (const std::string& s : r.caller.sites) page->names.add_sites(s);
  pb::DevicesQuestion q = page->names;
  q.set_exactly(device);
  find_device(asker_, q, done, [this, page](const pb::DevicesAnswer& said) {
    page->take_names(said);
    states_of(page);
  });
}

// Names from the registry, some at a time; then what all partitions know of them.
void PresenceApi::next_devices(const std::shared_ptr<Page>& page) const {
  page->names.set_limit(kNamesAtOnce);
  asker_.ask_partition(
      0, {AskKind::list_devices, kWithin_ms, page->names.SerializeAsString()},
      [this, page](const link::Answer& a) {
        pb::DevicesAnswer said;
        if (a.error != AskError::none || !said.ParseFromString(a.bytes))
          return page->done.answer(unanswered(a.error));
        if (said.no_tenant())
          return page->done.answer(admin::problem(admin::codes::kNotFound, "no such tenant"));
        page->take_names(said);
        page->more = said.more();
        page->names.set_after(said.looked());
        states_of(page);
      });
}

void PresenceApi::states_of(const std::shared_ptr<Page>& page) const {
  pb::PresenceQuestion q;
  q.set_tenant(page->names.tenant());
  for (const auto& d : page->found) q.add_devices(d.name);
  page->behind.clear();
  for (std::size_t i = 0; i < page->found.size(); ++i) {
    if (page->found[i].parent.empty()) continue;
    page->behind.push_back(i);
    q.add_devices(page->found[i].parent);
  }
  asker_.ask_all({AskKind::presence, kWithin_ms, q.SerializeAsString()},
                 [this, page](const std::vector<link::Answer>& answers) {
                   for (std::size_t p = 0; p < answers.size(); ++p) {
                     if (answers[p].error != AskError::none)
                       return page->done.answer(unanswered(answers[p].error));
                     page->take(p, answers[p]);
                   }
                   const bool full = page->fill();
                   if (!full && page->more && ++page->looks < kLooks) return next_devices(page);
                   details_of(page);
                 });
}

// Of the devices of the page, from the partitions that know most of them.
void PresenceApi::details_of(const std::shared_ptr<Page>& page) const {
  std::map<std::size_t, std::vector<std::size_t>> by_partition;
  for (std::size_t i = 0; i < page->page.size(); ++i)
    if (page->page[i].known) by_partition[page->page[i].partition].push_back(i);
  if (by_partition.empty()) return page->answer();
  const auto missing = std::make_shared<std::size_t>(by_partition.size());
  for (const auto& [partition, places] : by_partition) {
    pb::PresenceQuestion q;
    q.set_tenant(page->names.tenant());
    q.set_details(true);
    for (const std::size_t i : places) q.add_devices(page->page[i].asked());
    asker_.ask_partition(static_cast<std::uint32_t>(partition),
                         {AskKind::presence, kWithin_ms, q.SerializeAsString()},
                         [page, missing, places = places](const link::Answer& a) {
                           pb::PresenceAnswer said;
                           if (a.error == AskError::none && said.ParseFromString(a.bytes)) {
                             for (const auto& d : said.devices())
                               if (d.index() < places.size())
                                 page->page[places[d.index()]].said = d;
                           }
                           if (--*missing == 0) page->answer();
                         });
  }
}

}  // namespace berth::gateway::rest
