#include "gateway/ctl/why.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr std::size_t kTenantsMax = 50;  // that are asked one after another for a device
constexpr const char* kEndsShown = "10";
constexpr const char* kRefusedShown = "5";
constexpr const char* kInsightsAsked = "200";

// The API refused the first question.
struct Refused {
  admin::Response answer;
};

bool has_no_registry(const admin::Response& r) {
  return r.body.find("no registry") != std::string::npos;
}

// What one device's answers are put together from.
class Gatherer {
 public:
  Gatherer(const Ctl& admin, std::string tenant, const std::string& device)
      : admin_(admin), tenant_(std::move(tenant)), device_(device) {}

  // With "known": false, nothing else, if there is no such device.
  json::object presence() const {
    const admin::Response r =
        ask(admin_, "GET",
            "/api/v1/tenants/" + encoded(tenant_) + "/devices/" + encoded(device_) + "/presence");
    if (r.status != 200 && (r.status != 404 || has_no_registry(r))) throw Refused{r};
    json::object out{{"tenant", tenant_}, {"device", device_}, {"known", r.status == 200}};
    if (r.status == 200) out["presence"] = object_of(r.body);
    return out;
  }

  void add_rest(json::object& out) {
    const std::string of = of_tenant() + "&device=" + encoded(device_);
    out["ends"] = items("history", of + "&types=ended,taken_over&limit=" + kEndsShown);
    out["refused"] = items("history", of + "&types=refused&limit=" + kRefusedShown);
    out["commands_uncertain"] = items("commands", of + "&state=UNCERTAIN&limit=10");
    const std::string client = text_in(object_in(out, "presence"), "client_id");
    for (const char* list : {"flapping", "shared-ids", "slow"}) {
      json::array own;
      for (const json::value& v : insights(list)) {
        if (!v.is_object()) continue;
        const json::object& o = v.get_object();
        const std::string name = text_in(o, "device");
        if (name == device_ ||
            (name.empty() && !client.empty() && text_in(o, "client_id") == client))
          own.push_back(v);
      }
      out[std::string(list) == "shared-ids" ? "shared_ids" : list] = std::move(own);
    }
    add_unanswered(out);
  }

  // Devices with a similar name, and log-ins that failed with this one.
  void add_near(json::object& out) {
    json::array near;
    for (const std::string& part : parts_of_name(device_)) {
      near = items("presence", of_tenant() + "&q=" + encoded(part) + "&limit=10");
      if (near.empty()) continue;
      out["near_text"] = part;
      break;
    }
    out["near"] = std::move(near);
    json::array refused;
    for (const json::value& v : insights("refused")) {
      if (!v.is_object()) continue;
      const std::string name = text_in(v.get_object(), "name");
      if (name == device_ || name.starts_with(device_ + "@") ||
          text_in(v.get_object(), "client_id") == device_)
        refused.push_back(v);
    }
    out["refused"] = std::move(refused);
    add_unanswered(out);
  }

 private:
  std::string of_tenant() const { return "?tenant=" + encoded(tenant_); }
  json::array insights(const std::string& list) {
    return items("insights/" + list, of_tenant() + "&limit=" + kInsightsAsked);
  }
  // A part that can't be told now does not hide the others.
  json::array items(const std::string& route, const std::string& query) {
    const admin::Response r = ask(admin_, "GET", "/api/v1/" + route + query);
    if (r.status != 200) {
      std::string why = shown(r);
      while (!why.empty() && why.back() == '\n') why.pop_back();
      const json::value line(route + ": " + why);
      if (std::find(unanswered_.begin(), unanswered_.end(), line) == unanswered_.end())
        unanswered_.push_back(line);
      return {};
    }
    return list_in(object_of(r.body), route == "commands" ? "commands" : "items");
  }
  void add_unanswered(json::object& out) {
    if (!unanswered_.empty()) out["not_answered"] = std::move(unanswered_);
  }

  const Ctl& admin_;
  std::string tenant_;
  const std::string& device_;
  json::array unanswered_;
};

std::vector<std::string> tenants_of(const Ctl& admin) {
  const admin::Response r =
      ask(admin, "GET", "/api/v1/tenants?limit=" + std::to_string(kTenantsMax));
  if (r.status != 200) throw Refused{r};
  const json::object o = object_of(r.body);
  if (o.contains("next"))
    throw std::runtime_error("the gateway has more than " + std::to_string(kTenantsMax) +
                             " tenants: say whose device it is with --tenant");
  std::vector<std::string> names;
  for (const json::value& v : list_in(o, "items")) {
    if (v.is_object()) names.push_back(text_in(v.get_object(), "name"));
  }
  return names;
}

// Of a client that is no registered device, in all tenants or in one: its last ends, and log-ins
// that were refused.
void add_ends(const Ctl& admin, const std::string& client, const std::string& tenant,
              json::object& out) {
  const std::string of = parameter("tenant", tenant);
  const admin::Response r = ask(
      admin, "GET",
      std::string("/api/v1/insights/ends?limit=") + kEndsShown + parameter("client", client) + of);
  if (r.status == 200) {
    const json::object said = object_of(r.body);
    out["ends"] = list_in(said, "items");
    if (const std::string since = text_in(said, "since"); !since.empty()) out["since"] = since;
  }
}

// The same: those with this client id.
void add_sessions(const Ctl& admin, const std::string& client, json::object& out) {
  const admin::Response r =
      ask(admin, "GET", "/api/v1/sessions?limit=5" + parameter("client_id", client));
  json::array found = r.status == 200 ? list_in(object_of(r.body), "items") : json::array();
  if (!found.empty()) out["sessions"] = std::move(found);
}

// What the gateway knows of the device, in the tenant that has it. If several tenants have a device
// of this name: only the names of these tenants; --tenant chooses one.
json::object gathered(const Ctl& admin, const std::string& device, const std::string& tenant) {
  const std::vector<std::string> tenants =
      tenant.empty() ? tenants_of(admin) : std::vector<std::string>{tenant};
  json::array owners;
  json::object out;
  for (const std::string& t : tenants) {
    json::object one = Gatherer(admin, t, device).presence();
    if (!is_true(one, "known")) continue;
    owners.emplace_back(t);
    out = std::move(one);
  }
  if (owners.size() > 1)
    return {{"device", device}, {"known", false}, {"tenants", std::move(owners)}};
  if (owners.size() == 1) {
    Gatherer(admin, text_in(out, "tenant"), device).add_rest(out);
    json::array findings;
    for (const std::string& f : findings_of(out)) findings.emplace_back(f);
    out["findings"] = std::move(findings);
    return out;
  }
  json::object none{{"device", device}, {"known", false}};
  add_sessions(admin, device, none);
  add_ends(admin, device, tenant, none);
  for (const std::string& t : tenants) {
    none["tenant"] = t;
    Gatherer(admin, t, device).add_near(none);
    if (!list_in(none, "near").empty() || !list_in(none, "refused").empty()) break;
  }
  if (tenants.size() > 1 && list_in(none, "near").empty()) none.erase("tenant");
  return none;
}

// Rows of the members of a list's objects, with other headings.
struct Column {
  const char* heading;
  std::string (*value)(const json::object&);
};

std::string rows_of(const json::array& list, const std::vector<Column>& columns) {
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& c : columns) rows[0].emplace_back(c.heading);
  for (const json::value& v : list) {
    if (!v.is_object()) continue;
    std::vector<std::string> row;
    for (const Column& c : columns) row.push_back(c.value(v.get_object()));
    rows.push_back(std::move(row));
  }
  return rows.size() == 1 ? "" : aligned(rows);
}

std::string plural(std::int64_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

std::string how_it_is(const json::object& found, std::int64_t now_s) {
  const json::object p = object_in(found, "presence");
  const std::string state = text_in(p, "state");
  const std::string name = text_in(p, "display_name");
  std::string out = "Device " + text_in(found, "device") + " of tenant " +
                    text_in(found, "tenant") + ", site " + text_in(p, "site") +
                    (name.empty() ? "" : " (" + name + ")") + "\n";
  if (state == "never") return out + "It has never connected.\n";
  const std::string since = with_age(text_in(p, "since"), now_s);
  if (is_true(p, "stale")) {
    out +=
        "Its connection has just ended, or its edge is out of reach: the newest event below says "
        "more.\nIt came " +
        since + ", and counts as online until it has been away for presence.offline_after_s.\n";
  } else {
    out += "It is " + state + " since " + since + ".\n";
  }
  if (state == "offline" && !text_in(p, "cause").empty())
    out += "Why it went: " + meaning_of_cause(text_in(p, "cause")) + "\n";
  out += "\n";
  std::vector<std::vector<std::string>> rows;
  for (const char* member :
       {"address", "protocol", "client_id", "firmware", "product", "parent", "executor"}) {
    if (!text_in(p, member).empty()) rows.push_back({member, text_in(p, member)});
  }
  return out + aligned(rows);
}

std::string ends_text(const json::object& found) {
  const json::array ends = list_in(found, "ends");
  if (ends.empty()) return "\nLast ends of its connections: none in the history\n";
  return "\nLast ends of its connections\n" +
         rows_of(ends, {{"at", [](const json::object& o) { return text_in(o, "at"); }},
                        {"cause",
                         [](const json::object& o) {
                           return text_in(o, text_in(o, "type") == "taken_over" ? "type" : "cause");
                         }},
                        {"what the edge saw",
                         [](const json::object& o) {
                           return meaning_of_evidence(text_in(o, "detail"), text_in(o, "cause"));
                         }},
                        {"address", [](const json::object& o) { return text_in(o, "address"); }}});
}

std::string refused_text(const json::object& found) {
  const json::array refused = list_in(found, "refused");
  if (refused.empty()) return "";
  return "\nRefused log-ins with its user name\n" +
         rows_of(
             refused,
             {{"at",
               [](const json::object& o) { return text_in(o, o.contains("at") ? "at" : "last"); }},
              {"why",
               [](const json::object& o) {
                 return text_in(o, o.contains("reason") ? "reason" : "detail");
               }},
              {"count",
               [](const json::object& o) {
                 return o.contains("count") ? std::to_string(number_in(o, "count")) : "";
               }},
              {"address", [](const json::object& o) { return text_in(o, "address"); }},
              {"client_id", [](const json::object& o) { return text_in(o, "client_id"); }}});
}

std::string commands_text(const json::object& found) {
  const json::array commands = list_in(found, "commands_uncertain");
  if (commands.empty()) return "";
  return "\nCommands whose outcome is uncertain\n" +
         table_of(commands, {"accepted_at", "id", "type", "code"});
}

std::string lines_of(const char* heading, const json::array& lines) {
  if (lines.empty()) return "";
  std::string out = "\n" + std::string(heading) + "\n";
  for (const json::value& v : lines) out += "  " + text_of(v) + "\n";
  return out;
}

std::string ends_of_client(const json::object& found, std::int64_t now_s) {
  if (!found.contains("ends")) return "";
  if (list_in(found, "ends").empty() && list_in(found, "sessions").empty()) return "";
  std::string out = ends_text(found);
  if (const json::array ends = list_in(found, "ends"); !ends.empty() && ends[0].is_object()) {
    const std::string cause = text_in(ends[0].get_object(), "cause");
    const std::string advice = advice_for_cause(cause);
    out +=
        "\nThe last one: " + meaning_of_cause(cause) + (advice.empty() ? "" : " " + advice) + "\n";
  }
  if (const std::string since = text_in(found, "since"); !since.empty())
    out += "\nThe gateway's memory of ends begins at " + with_age(since, now_s) + ".\n";
  return out;
}

std::string unknown_text(const json::object& found, std::int64_t now_s) {
  const std::string device = text_in(found, "device");
  const std::string tenant = text_in(found, "tenant");
  if (const json::array owners = list_in(found, "tenants"); !owners.empty())
    return "Several tenants have a device " + device + ": say whose with --tenant\n" +
           lines_of("tenants", owners);
  std::string out =
      is_true(found, "no_registry")
          ? "Client " + device + ": there is no registry here.\n"
          : "There is no device " + device + (tenant.empty() ? "" : " in tenant " + tenant) + ".\n";
  const json::array near = list_in(found, "near");
  if (!near.empty())
    out += "\nDevices with '" + text_in(found, "near_text") + "' in their names\n" +
           table_of(near, {"device", "display_name", "site", "state", "since"});
  const json::array sessions = list_in(found, "sessions");
  if (!sessions.empty())
    out += "\nSessions of clients that are no registered devices, with this client id\n" +
           table_of(sessions, {"id", "client_id", "state", "protocol", "address", "queued"});
  out += ends_of_client(found, now_s);
  out += refused_text(found);
  if (is_true(found, "no_registry")) return out;
  out += "\nWhere to look\n";
  if (!tenant.empty())
    out += "  berth ctl devices --tenant " + tenant + " --q TEXT: names and display names\n";
  out +=
      "  berth ctl top --by refused: whose log-ins fail, and why\n"
      "  berth ctl registry list device --tenant T --q TEXT: is it registered at all?\n"
      "  The gateway's log names each refused log-in with its user name and address.\n";
  return out + lines_of("Not answered", list_in(found, "not_answered"));
}

}  // namespace

std::vector<std::string> parts_of_name(const std::string& name) {
  std::vector<std::string> parts{name};
  const auto add = [&parts](std::string part) {
    if (part.size() >= 2 && std::find(parts.begin(), parts.end(), part) == parts.end())
      parts.push_back(std::move(part));
  };
  add(name.substr(0, name.size() - std::min<std::size_t>(name.size(), 1)));
  for (std::size_t at = name.size(); (at = name.find_last_of("-_.", at)) != std::string::npos;) {
    add(name.substr(0, at));
    add(name.substr(at + 1));
    if (at-- == 0) break;
  }
  add(name.substr(0, 3));
  // Half a character of UTF-8 is no text.
  std::erase_if(parts, [&name](const std::string& part) {
    const std::size_t end = name.find(part) + part.size();
    return end < name.size() && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80;
  });
  return parts;
}

std::vector<std::string> findings_of(const json::object& found) {
  std::vector<std::string> out;
  const json::object p = object_in(found, "presence");
  for (const json::value& v : list_in(found, "flapping")) {
    const json::object& o = v.get_object();
    out.push_back("It flaps: its connections have ended " +
                  plural(number_in(o, "ends"), "time", "times") +
                  " in the last hour, most often because of " + text_in(o, "cause") + ".");
  }
  for (const json::value& v : list_in(found, "shared_ids")) {
    const json::object& o = v.get_object();
    out.push_back("Connections take its client id " + text_in(o, "client_id") +
                  " from one another: " + plural(number_in(o, "take_overs"), "time", "times") +
                  " in the last hour, from " + text_in(o, "addresses") + ".");
  }
  for (const json::value& v : list_in(found, "slow")) {
    const json::object& o = v.get_object();
    out.push_back("It reads too slowly: " + plural(number_in(o, "queue"), "message", "messages") +
                  " wait, " + std::to_string(number_in(o, "dropped")) + " were dropped.");
  }
  if (const auto commands = list_in(found, "commands_uncertain"); !commands.empty())
    out.push_back(plural(static_cast<std::int64_t>(commands.size()), "command is", "commands are") +
                  " uncertain: look at the barrier or device itself before you send one again.");
  for (const char* over : {"parent", "executor"}) {
    if (const std::string name = text_in(p, over); !name.empty())
      out.push_back("It shows the presence of " + name + " (" + over + "): ask why " + name +
                    " has gone.");
  }
  std::string advice;
  if (text_in(p, "state") == "offline") advice = advice_for_cause(text_in(p, "cause"));
  if (advice.empty() && !list_in(found, "flapping").empty())
    advice = advice_for_cause(text_in(list_in(found, "flapping")[0].get_object(), "cause"));
  if (!advice.empty()) out.push_back(advice);
  const json::array refused = list_in(found, "refused");
  const bool online = text_in(p, "state") == "online";
  // Times of one form: their texts are in their order.
  const bool since_then =
      !refused.empty() && text_in(refused[0].get_object(), "at") > text_in(p, "since");
  if (!refused.empty() && (!online || since_then)) {
    advice = advice_for_refusal(text_in(refused[0].get_object(), "detail"));
    out.push_back(online ? "Log-ins with its user name are refused while it is connected: somebody "
                           "else has its name. " +
                               advice
                         : "Log-ins with its user name are refused. " + advice);
  }
  return out;
}

std::string why_text(const json::object& found, std::int64_t now_s) {
  if (!is_true(found, "known")) return unknown_text(found, now_s);
  json::array findings = list_in(found, "findings");
  if (findings.empty())
    findings.emplace_back(
        "Nothing is unusual since the engine that serves began; what was before is listed below.");
  return how_it_is(found, now_s) + lines_of("Findings", findings) + ends_text(found) +
         refused_text(found) + commands_text(found) +
         lines_of("Not answered", list_in(found, "not_answered"));
}

WhyVerb::WhyVerb(CLI::App& control) {
  verb_ = control.add_subcommand("why", "why a device has gone: its state, last ends and causes");
  verb_->add_option("device", device_, "its name in the registry")->required();
  verb_->add_option("--tenant", tenant_, "whose device; else it is looked for in all tenants");
}

namespace {

// Without a registry there are clients only.
json::object gathered_of_client(const Ctl& admin, const std::string& client) {
  json::object out{{"device", client}, {"known", false}, {"no_registry", true}};
  add_sessions(admin, client, out);
  add_ends(admin, client, "", out);
  json::array refused;
  const admin::Response r =
      ask(admin, "GET", std::string("/api/v1/insights/refused?limit=") + kInsightsAsked);
  for (const json::value& v : list_in(object_of(r.body), "items")) {
    if (!v.is_object()) continue;
    const json::object& o = v.get_object();
    if (text_in(o, "client_id") == client || text_in(o, "name") == client) refused.push_back(v);
  }
  out["refused"] = std::move(refused);
  return out;
}

bool is_known(const json::object& found) {
  return is_true(found, "known") || !list_in(found, "sessions").empty() ||
         !list_in(found, "ends").empty();
}

}  // namespace

std::optional<int> WhyVerb::run(const Ctl& admin) const {
  if (!*verb_) return std::nullopt;
  return answered([&] {
    const auto print = [&admin](const json::object& found) {
      const std::string text =
          admin.as_json() ? json::serialize(found) + "\n" : why_text(found, std::time(nullptr));
      std::fwrite(text.data(), 1, text.size(), stdout);
      return is_known(found) ? 0 : 1;
    };
    try {
      return print(gathered(admin, device_, tenant_));
    } catch (const Refused& no) {
      if (has_no_registry(no.answer)) return print(gathered_of_client(admin, device_));
      print_refusal(admin, no.answer);
      if (tenant_.empty() && no.answer.status == 404)
        std::fputs("berth ctl: this process has no list of tenants: give --tenant\n", stderr);
      return 1;
    }
  });
}

}  // namespace berth::gateway
