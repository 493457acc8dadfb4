#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <utility>

#include "base/read_file.h"
#include "gateway/ctl/asking.h"
#include "gateway/ctl/registry.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

const std::vector<std::string> kKinds{"tenant", "site", "product", "device", "account"};

// "-": what comes on stdin; a text that begins with '{': itself; all else: a file.
std::string record_in(const std::string& argument) {
  if (argument.starts_with("{")) return argument;
  if (argument == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  return base::read_file(argument);
}

// A record or its like, without the members that a table has no room for.
std::string record_text(const std::string& body) {
  const json::object o = object_of(body);
  std::string out = pairs_of(o);
  for (const auto& [name, value] : o) {
    if (value.is_object()) out += "\n" + std::string(name) + "\n" + pairs_of(value.get_object());
    if (!value.is_array() || value.get_array().empty()) continue;
    const json::array& list = value.get_array();
    out += "\n" + std::string(name) + "\n";
    if (list.front().is_object()) {
      out += table_of(list);
    } else {
      for (const json::value& v : list) out += "  " + text_of(v) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string records_table(const std::string& text) {
  static const std::vector<std::string> kColumns{"name",    "display_name", "site",
                                                 "product", "role",         "enabled",
                                                 "parent",  "executor",     "firmware"};
  const json::object o = object_of(text);
  const json::array items = list_in(o, "items");
  std::vector<std::string> shown;
  for (const std::string& column : kColumns) {
    const bool has = std::any_of(items.begin(), items.end(), [&column](const json::value& v) {
      return v.is_object() && v.get_object().contains(column);
    });
    if (has) shown.push_back(column);
  }
  const std::string next = text_in(o, "next");
  return table_of(items, shown) + (next.empty() ? "" : "\nmore: --cursor " + next + "\n");
}

std::string usage_text(const std::string& text) {
  const json::object o = object_of(text);
  if (o.contains("items")) return table_of(list_in(o, "items"));
  json::object whole = o;
  whole.erase("sites");
  std::string out = record_text(json::serialize(whole));
  json::array sites;
  for (const auto& [name, value] : object_in(o, "sites")) {
    if (!value.is_object()) continue;
    json::object row{{"site", name}};
    for (const auto& [member, of_it] : value.get_object()) {
      if (!of_it.is_structured()) row[member] = of_it;
    }
    sites.push_back(std::move(row));
  }
  return sites.empty() ? out : out + "\nsites\n" + table_of(sites);
}

void RegistryVerb::add_records(CLI::App& all) {
  list_ = all.add_subcommand("list", "records of a kind");
  get_ = all.add_subcommand("get", "one record, without secrets");
  put_ = all.add_subcommand("put", "make or replace a record; --merge: change some members of it");
  remove_ = all.add_subcommand("remove", "remove a record; its connections and sessions end");
  for (CLI::App* const verb : {list_, get_, put_, remove_}) {
    verb->add_option("kind", kind_, "what kind of record")
        ->required()
        ->check(CLI::IsMember(kKinds));
    if (verb != list_) verb->add_option("name", name_, "its name")->required();
    verb->add_option("--tenant", tenant_, "whose record; not of a tenant itself");
  }
  put_->add_option("record", record_,
                   "its JSON: a file, - for stdin, or the JSON itself (without secrets: others see "
                   "a command line)")
      ->required();
  put_->add_flag("--merge", merge_,
                 "members that the JSON lacks stay as they are; null removes one");
  remove_->add_flag("--recursive", recursive_, "with the records below it");
  list_->add_option("--q", q_, "with this text in their names and labels");
  list_->add_option("--site", site_, "devices and accounts of this site");
  list_->add_option("--limit", limit_, "how many [100]")->check(CLI::Range(1, 500));
  list_->add_option("--cursor", cursor_, "goes on behind the page that named it");
}

std::string RegistryVerb::records_target(bool one) const {
  std::string path = "/api/v1/tenants";
  if (kind_ != "tenant") path += "/" + encoded(tenant_) + "/" + kind_ + "s";
  return one ? path + "/" + encoded(name_) : path;
}

int RegistryVerb::list(const Ctl& admin) const {
  const std::string target = records_target(false) + "?limit=" + std::to_string(limit_) +
                             parameter("q", q_) + parameter("site", site_) +
                             parameter("cursor", cursor_);
  return print_answer(admin, ask(admin, "GET", target), records_table);
}

int RegistryVerb::put(const Ctl& admin) const {
  admin::Ask q;
  q.method = merge_ ? "PATCH" : "PUT";
  q.target = records_target(true);
  q.body = record_in(record_);
  if (merge_) q.media_type = "application/merge-patch+json";
  return print_answer(admin, ask(admin, std::move(q)), record_text);
}

std::optional<int> RegistryVerb::run_records(const Ctl& admin) const {
  if (!*list_ && !*get_ && !*put_ && !*remove_) return std::nullopt;
  if ((kind_ == "tenant") != tenant_.empty()) {
    std::fputs(kind_ == "tenant" ? "berth ctl: --tenant is of other records, not of a tenant\n"
                                 : "berth ctl: whose record? give --tenant\n",
               stderr);
    return base::kExitUsage;
  }
  return answered([&] {
    if (*list_) return list(admin);
    if (*put_) return put(admin);
    if (*get_) return print_answer(admin, ask(admin, "GET", records_target(true)), record_text);
    const std::string target = records_target(true) + (recursive_ ? "?recursive=true" : "");
    return print_answer(admin, ask(admin, "DELETE", target),
                        [](const std::string&) { return std::string("removed\n"); });
  });
}

UsageVerb::UsageVerb(CLI::App& control) {
  verb_ = control.add_subcommand("usage",
                                 "the tenants that use most of something, or what one tenant uses");
  verb_->add_option("tenant", tenant_, "this tenant and its sites");
  verb_->add_option("--by", by_,
                    "what is ranked, as connections, dropped, refused [messages_per_s]");
  verb_->add_option("--limit", limit_, "how many [20]")->check(CLI::Range(1, 1000));
}

std::optional<int> UsageVerb::run(const Ctl& admin) const {
  if (!*verb_) return std::nullopt;
  const std::string target =
      tenant_.empty() ? "/api/v1/usage?limit=" + std::to_string(limit_) + parameter("by", by_)
                      : "/api/v1/usage/" + encoded(tenant_);
  return answered([&] { return print_answer(admin, ask(admin, "GET", target), usage_text); });
}

}  // namespace berth::gateway
