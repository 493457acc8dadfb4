#include "gateway/ctl/top.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>
#include <utility>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr std::uint32_t kEachOfAll = 5;
constexpr std::uint32_t kOfOne = 20;

struct List {
  const char* name;     // of --by, and in the JSON
  const char* insight;  // its route; nullptr: usage
  const char* heading;
  std::vector<std::string> columns;
};

const std::array<List, 6>& lists() {
  static const std::array<List, 6> kLists{
      {{"connections",
        nullptr,
        "Most connections",
        {"connections", "tenant", "site", "who", "address", "messages_per_s", "bytes_per_s"}},
       {"traffic",
        "traffic",
        "Most traffic, bytes a second",
        {"bytes_per_s", "tenant", "site", "who", "address"}},
       {"flapping",
        "flapping",
        "Flapping: three ends or more in the last hour",
        {"ends", "tenant", "site", "who", "cause", "address", "last"}},
       {"refused",
        "refused",
        "Refused log-ins of the last hour",
        {"count", "name", "reason", "address", "client_id", "last"}},
       {"slow",
        "slow",
        "Slow consumers of the last hour",
        {"queue", "queue_bytes", "dropped", "ended", "tenant", "site", "who"}},
       {"shared",
        "shared-ids",
        "Client ids that connections take from one another, last hour",
        {"take_overs", "client_id", "tenant", "who", "addresses", "last"}}}};
  return kLists;
}

// A device, an account, or a client that is not registered.
std::string who_of(const json::object& o) {
  if (const std::string device = text_in(o, "device"); !device.empty()) return device;
  if (const std::string account = text_in(o, "account"); !account.empty())
    return "account " + account;
  if (const std::string user = text_in(o, "user"); !user.empty()) return "user " + user;
  const std::string client = text_in(o, "client_id");
  return client.empty() ? "" : "client " + client;
}

// What an operator asks next.
std::string next_step(const std::string& list) {
  if (list == "flapping" || list == "shared" || list == "slow")
    return "  next: berth ctl why DEVICE --tenant TENANT\n";
  return "";
}

json::array with_who(const json::array& list) {
  json::array out;
  for (const json::value& v : list) {
    if (!v.is_object()) continue;
    json::object o = v.get_object();
    o["who"] = who_of(o);
    std::string addresses;
    for (const json::value& a : list_in(o, "addresses"))
      addresses += (addresses.empty() ? "" : ", ") + text_of(a);
    if (!addresses.empty()) o["addresses"] = addresses;
    out.push_back(std::move(o));
  }
  return out;
}

struct Answered {
  json::object body;
  std::string refusal;  // empty: it was answered
};

Answered answer_of(const Ctl& admin, const std::string& target) {
  const admin::Response r = ask(admin, "GET", target);
  if (r.status == 200) return {object_of(r.body), {}};
  if (r.status == 401) exit_code(r);  // says on stderr what is missing
  std::string why = shown(r);
  while (!why.empty() && why.back() == '\n') why.pop_back();
  return {{}, why};
}

// The newest engine's beginning counts: before that somebody's counts are missing.
void keep_since(json::object& top, const json::object& answer) {
  const std::string since = text_in(answer, "since");
  if (since > text_in(top, "since")) top["since"] = since;
}

}  // namespace

json::array ranked_sites(const json::object& usage, std::size_t limit) {
  json::array all;
  for (const auto& [name, value] : object_in(usage, "sites")) {
    if (!value.is_object()) continue;
    json::object o = value.get_object();
    o["tenant"] = text_in(usage, "tenant");
    o["site"] = name;
    all.push_back(std::move(o));
  }
  std::stable_sort(all.begin(), all.end(), [](const json::value& a, const json::value& b) {
    return number_in(a.get_object(), "connections") > number_in(b.get_object(), "connections");
  });
  if (all.size() > limit) all.resize(limit);
  return all;
}

std::string top_text(const json::object& top, std::int64_t now_s) {
  const json::object found = object_in(top, "lists");
  std::string out;
  for (const List& l : lists()) {
    if (!found.contains(l.name)) continue;
    const json::array list = list_in(found, l.name);
    out += (out.empty() ? "" : "\n") + std::string(l.heading) + "\n" +
           table_of(with_who(list), l.columns) + (list.empty() ? "" : next_step(l.name));
  }
  if (const std::string since = text_in(top, "since"); !since.empty())
    out += "\nCounts begin at " + with_age(since, now_s) + ".\n";
  if (const json::array no = list_in(top, "not_answered"); !no.empty()) {
    out += "\nNot answered\n";
    for (const json::value& v : no) out += "  " + text_of(v) + "\n";
  }
  return out;
}

TopVerb::TopVerb(CLI::App& control) {
  verb_ = control.add_subcommand(
      "top", "who has most connections or traffic, flaps, is refused, is slow, shares a client id");
  verb_
      ->add_option("--by", by_,
                   "this list only: connections, traffic, flapping, refused, slow, shared")
      ->check(CLI::IsMember({"connections", "traffic", "flapping", "refused", "slow", "shared"}));
  verb_->add_option("--tenant", tenant_, "of this tenant; else of all");
  verb_->add_option("--limit", limit_, "how many of a list [5 of each; 20 of one]")
      ->check(CLI::Range(1, 200));
  verb_->add_flag("--watch", watch_, "again and again, until Ctrl-C");
  verb_->add_option("--every", every_s_, "with --watch: seconds between two looks [2]")
      ->check(CLI::Range(1, 3600));
}

json::object TopVerb::look(const Ctl& admin) const {
  const std::uint32_t limit = limit_ != 0 ? limit_ : by_.empty() ? kEachOfAll : kOfOne;
  json::object top{{"lists", json::object()}};
  json::array not_answered;
  for (const List& l : lists()) {
    if (!by_.empty() && by_ != l.name) continue;
    const std::string most = "limit=" + std::to_string(limit);
    const bool sites = l.insight == nullptr && !tenant_.empty();
    const std::string target = l.insight != nullptr ? std::string("/api/v1/insights/") + l.insight +
                                                          "?" + most + parameter("tenant", tenant_)
                               : sites ? "/api/v1/usage/" + encoded(tenant_)
                                       : "/api/v1/usage?by=connections&" + most;
    Answered a = answer_of(admin, target);
    bool of_tenant = sites;
    if (l.insight == nullptr && !a.refusal.empty()) {  // no registry, or none in this process
      of_tenant = false;
      a = answer_of(admin, "/api/v1/insights/connections?" + most + parameter("tenant", tenant_));
    }
    if (!a.refusal.empty()) {
      not_answered.emplace_back(std::string(l.name) + ": " + a.refusal);
      continue;
    }
    keep_since(top, a.body);
    top["lists"].as_object()[l.name] =
        of_tenant ? ranked_sites(a.body, limit) : list_in(a.body, "items");
  }
  if (!not_answered.empty()) top["not_answered"] = std::move(not_answered);
  return top;
}

int TopVerb::print(const Ctl& admin, const json::object& top) const {
  const bool as_json = admin.as_json();
  std::string text = as_json ? json::serialize(top) + "\n" : top_text(top, std::time(nullptr));
  if (watch_ && !as_json && ::isatty(STDOUT_FILENO) == 1)
    text = "\x1b[H\x1b[2J" + text;  // the screen anew
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  return top.contains("not_answered") ? 1 : 0;
}

// The gateway may be restarted meanwhile: only the first look has to be answered.
int TopVerb::watch(const Ctl& admin) const {
  const int code = print(admin, look(admin));
  while (code == 0 && std::ferror(stdout) == 0) {
    std::this_thread::sleep_for(std::chrono::seconds(every_s_));  // between two looks
    try {
      print(admin, look(admin));
    } catch (const std::runtime_error& e) {
      std::fprintf(stderr, "berth ctl: %s\n", e.what());
    }
  }
  return code;
}

std::optional<int> TopVerb::run(const Ctl& admin) const {
  if (!*verb_) return std::nullopt;
  return answered([&] { return watch_ ? watch(admin) : print(admin, look(admin)); });
}

}  // namespace berth::gateway
