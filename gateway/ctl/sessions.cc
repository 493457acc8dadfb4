#include "gateway/ctl/sessions.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <utility>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

// A device, an account, or a user of the password file; "": anonymous.
std::string owner_of(const json::object& o) {
  for (const char* kind : {"device", "account", "user"}) {
    if (const std::string name = text_in(o, kind); !name.empty())
      return kind == std::string("device") ? name : std::string(kind) + " " + name;
  }
  return "";
}

bool is_id(const std::string& text) {
  const std::size_t dash = text.find('-');
  return dash != 0 && dash != std::string::npos && dash + 1 < text.size() &&
         text.find_first_not_of("0123456789-") == std::string::npos &&
         text.find('-', dash + 1) == std::string::npos;
}

}  // namespace

std::string sessions_table(const std::string& text) {
  const json::object o = object_of(text);
  json::array rows;
  for (const json::value& v : list_in(o, "items")) {
    if (!v.is_object()) continue;
    json::object row = v.get_object();
    row["who"] = owner_of(row);
    rows.push_back(std::move(row));
  }
  std::string out = table_of(rows, {"id", "client_id", "tenant", "site", "who", "state", "protocol",
                                    "address", "subscriptions", "queued", "inflight"});
  if (is_true(o, "incomplete"))
    out += "\nNot all sessions were looked at: name a tenant, --tenant T\n";
  if (const std::string next = text_in(o, "next"); !next.empty())
    out += "\nmore: --cursor " + next + "\n";
  return out;
}

std::string session_text(const std::string& text) {
  const json::object o = object_of(text);
  std::string out = pairs_of(o);
  if (const json::array filters = list_in(o, "filters"); !filters.empty())
    out += "\nfilters\n" + table_of(filters, {"filter", "qos", "group"});
  if (const json::object will = object_in(o, "will"); !will.empty())
    out += "\nwill\n" + pairs_of(will);
  return out;
}

SessionsVerb::SessionsVerb(CLI::App& control) {
  sessions_ = control.add_subcommand("sessions", "sessions of MQTT and Park clients");
  sessions_->add_option("--tenant", tenant_, "of this tenant");
  sessions_->add_option("--q", q_, "with this text in the client id, or in the device's name");
  CLI::Option* const online = sessions_->add_flag("--online", online_, "that have a connection");
  sessions_->add_flag("--offline", offline_, "that have none")->excludes(online);
  sessions_->add_option("--limit", limit_, "how many [100]")->check(CLI::Range(1, 500));
  sessions_->add_option("--cursor", cursor_, "what the last answer said: those behind it");
  session_ = control.add_subcommand("session", "one session: its queue, filters, will");
  kick_ = control.add_subcommand("kick", "end the connection of a session; the client may return");
  for (CLI::App* const one : {session_, kick_}) {
    one->add_option("session", session_id_, "id of `berth ctl sessions`, or a client id")
        ->required();
    one->add_option("--tenant", tenant_, "of a client id: its tenant");
  }
  kick_->add_flag("--end-session", end_, "end the session too: its queue and filters are lost");
}

std::string SessionsVerb::list_target() const {
  return "/api/v1/sessions?limit=" + std::to_string(limit_) + parameter("tenant", tenant_) +
         parameter("q", q_) + parameter("cursor", cursor_) +
         (online_    ? "&online=true"
          : offline_ ? "&online=false"
                     : "");
}

int SessionsVerb::list(const Ctl& admin) const {
  return print_answer(admin, ask(admin, "GET", list_target()), sessions_table);
}

std::optional<std::string> SessionsVerb::id_of(const Ctl& admin) const {
  if (is_id(session_id_)) return session_id_;
  const admin::Response r = ask(admin, "GET",
                                "/api/v1/sessions?limit=20" + parameter("client_id", session_id_) +
                                    parameter("tenant", tenant_));
  const json::array found = list_in(object_of(r.body), "items");
  if (r.status != 200) {
    print_refusal(admin, r);
    return std::nullopt;
  }
  if (found.size() == 1 && found[0].is_object()) return text_in(found[0].get_object(), "id");
  if (found.empty()) {
    std::fputs("berth ctl: no session has this client id\n", stderr);
  } else {
    std::fputs("berth ctl: several sessions have this client id; name one by its id\n", stderr);
    std::fputs(sessions_table(r.body).c_str(), stderr);
  }
  return std::nullopt;
}

int SessionsVerb::show(const Ctl& admin) const {
  const auto id = id_of(admin);
  if (!id) return 1;
  return print_answer(admin, ask(admin, "GET", "/api/v1/sessions/" + encoded(*id)), session_text);
}

int SessionsVerb::kick(const Ctl& admin) const {
  const auto id = id_of(admin);
  if (!id) return 1;
  const std::string target = "/api/v1/sessions/" + encoded(*id);
  const admin::Response r =
      end_ ? ask(admin, "DELETE", target) : ask(admin, "POST", target + "/disconnect");
  return print_answer(admin, r, [this](const std::string& body) -> std::string {
    if (end_) return "the session has ended\n";
    return text_in(object_of(body), "state") == "online" ? "the connection has ended\n"
                                                         : "it had no connection\n";
  });
}

std::optional<int> SessionsVerb::run(const Ctl& admin) const {
  if (*sessions_) return answered([&] { return list(admin); });
  if (*session_) return answered([&] { return show(admin); });
  if (*kick_) return answered([&] { return kick(admin); });
  return std::nullopt;
}

}  // namespace berth::gateway
